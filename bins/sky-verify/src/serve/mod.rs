//! `sky-verify serve`: the sandbox over HTTP.

mod answer;
mod patient;
mod wire;

use std::{net::SocketAddr, num::NonZero, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, rt::TokioTimer, server::graceful::GracefulShutdown};
use sky_cli::Invalid;
use sky_verify::python::{Limits, MAX_MEMORY};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};

use self::{
    answer::{Held, Service},
    patient::Patient,
};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Where to listen. Whoever reaches it can run programs: in the sandbox, but on your cores.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Most requests that may wait for a free core; further ones are told to come back (503).
    #[arg(long, default_value_t = NonZero::new(64).unwrap_or(NonZero::<usize>::MIN), value_name = "N")]
    queue: NonZero<usize>,
    /// Most connections at once; further ones wait to be accepted.
    #[arg(long, default_value_t = NonZero::new(256).unwrap_or(NonZero::<usize>::MIN), value_name = "N")]
    connections: NonZero<usize>,
    /// Most seconds of a native interpreter for one program, whatever a request asks for.
    #[arg(long, default_value_t = 60.0, value_name = "S")]
    max_seconds: f64,
    /// Most MiB of memory for one program, whatever a request asks for.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=(MAX_MEMORY >> 20)))]
    memory: u64,
    /// Most MiB of output of one program.
    #[arg(long, default_value_t = 1, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1024))]
    max_output: u64,
    /// Most MiB of a request.
    #[arg(long, default_value_t = 16, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1024))]
    max_body: u64,
    /// Most MiB that requests and answers may take together, whatever their number; further ones get 503.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65536))]
    held: u64,
    /// Seconds that a client may take over a request's head, over its body, and over reading an answer (with a second more for
    /// each 64 KiB it reads).
    #[arg(long, default_value_t = NonZero::new(30).unwrap_or(NonZero::<u32>::MIN), value_name = "S")]
    patience: NonZero<u32>,
}

const EXAMPLES: &str = r#"Requests and answers have SandboxFusion's shape. SIGTERM and Ctrl-C let what runs come to its end.

Example:
  sky-verify serve --listen 127.0.0.1:8080 &
  curl -s 127.0.0.1:8080/run_code -d '{"code": "print(1 + 1)", "language": "python", "run_timeout": 2}'
  curl -s 127.0.0.1:8080/healthz"#;

/// How long what runs may take to end when the server is asked to.
const FAREWELL: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    if !args.max_seconds.is_finite() || args.max_seconds <= 0.0 {
        return Err(Invalid(format!("--max-seconds {}: not a time", args.max_seconds)).into());
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let capacity = cores
        .saturating_add(args.queue.get())
        .min(Semaphore::MAX_PERMITS);
    let service = Arc::new(Service {
        sandbox: crate::sandbox()?,
        most: Limits {
            memory: args.memory << 20,
            output: args.max_output << 20,
            ..Limits::default()
        },
        most_seconds: args.max_seconds,
        most_body: args.max_body << 20,
        capacity,
        patience: Duration::from_secs(args.patience.get().into()),
        held: Held::new(args.held << 20),
        room: Arc::new(Semaphore::new(capacity)),
    });
    // One thread answers; programs run on threads of their own, as many at once as there are cores.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(capacity)
        .build()
        .context("cannot start the server's thread")?;
    let served = runtime.block_on(serve(args, service));
    // Dropping it would wait for programs that were given up on.
    runtime.shutdown_background();
    served
}

async fn serve(args: &ServeArgs, service: Arc<Service>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {} (--listen)", args.listen))?;
    // The port is the system's choice when 0 was asked for.
    println!("listening on http://{}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stop = pin!(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(
        args.connections.get().min(Semaphore::MAX_PERMITS),
    ));
    loop {
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: they come back as connections end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (service, patience) = (Arc::clone(&service), service.patience);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .serve_connection(
                TokioIo::new(Patient::new(stream, patience)),
                service_fn(move |request| Arc::clone(&service).answer(request)),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off is no event.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    eprintln!("stopping: what runs may end first");
    if tokio::time::timeout(FAREWELL, graceful.shutdown())
        .await
        .is_err()
    {
        anyhow::bail!("programs still ran after {FAREWELL:?}; they were cut off");
    }
    Ok(())
}
