//! `sky-verify serve`: serves the sandbox over HTTP.

mod access;
mod memory_budget;
mod metrics;
mod service;
mod submit;
mod wire;
mod write_timeout;

use std::{net::SocketAddr, num::NonZero, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, rt::TokioTimer, server::graceful::GracefulShutdown};
use sky_cli::UserError;
use sky_sandbox::{Limits, MAX_MEMORY};
use sky_verify::{CodeCheck, CodeOptions, MathCheck};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};

use self::{
    access::Access, memory_budget::MemoryBudget, metrics::Metrics, service::Service,
    write_timeout::WriteTimeout,
};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Address to listen on. Everyone who reaches it can run sandboxed programs on your cores.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// A name under which clients reach this server, besides its addresses and `localhost`;
    /// requests for other names are refused. May be given several times.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Environment variable with a key that clients must send as `Authorization: Bearer KEY`.
    #[arg(long, value_name = "VARIABLE")]
    api_key_env: Option<String>,
    /// Most requests that wait for a free core; further ones get 503 with Retry-After.
    #[arg(long, default_value_t = NonZero::new(64).unwrap_or(NonZero::<usize>::MIN), value_name = "N")]
    queue: NonZero<usize>,
    /// Most connections at once; further ones wait.
    #[arg(long, default_value_t = NonZero::new(256).unwrap_or(NonZero::<usize>::MIN), value_name = "N")]
    connections: NonZero<usize>,
    /// Most seconds of a native interpreter for one program; caps what a request asks for.
    #[arg(long, default_value_t = 60.0, value_name = "S")]
    max_seconds: f64,
    /// Most MiB of memory for one program; caps what a request asks for.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=(MAX_MEMORY >> 20)))]
    memory: u64,
    /// Most MiB of output of one program.
    #[arg(long, default_value_t = 1, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1024))]
    max_output: u64,
    /// Most MiB of a request's body.
    #[arg(long, default_value_t = 16, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1024))]
    max_body: u64,
    /// Most MiB of memory for all requests and answers together; further requests get 503.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65536))]
    max_buffered: u64,
    /// Time limit in seconds for a client to send a request's head, to send its body, and to read
    /// an answer. Reading gets a second more for each 64 KiB that the client takes.
    #[arg(long, default_value_t = NonZero::new(30).unwrap_or(NonZero::<u32>::MIN), value_name = "S")]
    client_timeout: NonZero<u32>,
}

const EXAMPLES: &str = r#"POST /run_code runs a program, in SandboxFusion's format.
POST /submit judges a reply to a problem of one of SandboxFusion's data sets; the problem comes in
`config.provided_data`.
POST /verify gives a reply its verdict; its `answer` is a problem's, as in problems.jsonl.
GET /healthz and GET /metrics (Prometheus) tell how the server does.
After SIGTERM or Ctrl-C the server accepts no more requests and exits when the running programs
have ended.

Example:
  sky-verify serve --listen 127.0.0.1:8080 &
  curl -s 127.0.0.1:8080/run_code --json '{"code": "print(1 + 1)", "language": "python", "run_timeout": 2}'
  curl -s 127.0.0.1:8080/verify --json '{"answer": {"math": "0.5"}, "reply": "So it is 1/2."}'
  curl -s 127.0.0.1:8080/healthz"#;

/// Time limit for running programs to end after a stop signal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    if !args.max_seconds.is_finite() || args.max_seconds <= 0.0 {
        return Err(UserError(format!(
            "--max-seconds {}: use a number above 0",
            args.max_seconds
        ))
        .into());
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let capacity = cores
        .saturating_add(args.queue.get())
        .min(Semaphore::MAX_PERMITS);
    let service = Arc::new(Service {
        access: Access {
            hosts: args.host.clone(),
            key: sky_cli::api_key(args.api_key_env.as_deref().unwrap_or_default())?,
        },
        code: CodeCheck::new(crate::sandbox()?, CodeOptions::default()),
        math: MathCheck::default(),
        metrics: Metrics::default(),
        max_limits: Limits {
            memory: args.memory << 20,
            output: args.max_output << 20,
            ..Limits::default()
        },
        max_seconds: args.max_seconds,
        max_body: args.max_body << 20,
        capacity,
        client_timeout: Duration::from_secs(args.client_timeout.get().into()),
        memory: MemoryBudget::new(args.max_buffered << 20),
        slots: Arc::new(Semaphore::new(capacity)),
    });
    // One thread serves connections. Programs run on blocking threads; the sandbox runs as many at
    // once as there are cores.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(capacity)
        .build()
        .context("cannot start the server's thread")?;
    let served = runtime.block_on(serve(args, service));
    // Dropping the runtime would wait for programs that were aborted.
    runtime.shutdown_background();
    served
}

async fn serve(args: &ServeArgs, service: Arc<Service>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {} (--listen)", args.listen))?;
    // With port 0 the system chooses one: clients read it from this line.
    sky_cli::outln!("listening on http://{}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stop = pin!(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        (terminate, interrupt)
    });
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(
        args.connections.get().min(Semaphore::MAX_PERMITS),
    ));
    let (mut terminate, mut interrupt) = loop {
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            signals = &mut stop => break signals,
        };
        let Ok((stream, _)) = accepted else {
            // Most likely out of file descriptors; they become free as connections end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (service, timeout) = (Arc::clone(&service), service.client_timeout);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // A client that has sent all it has to say may still be waiting for the answer.
            .half_close(true)
            .header_read_timeout(timeout)
            .serve_connection(
                TokioIo::new(WriteTimeout::new(stream, timeout)),
                service_fn(move |request| Arc::clone(&service).answer(request)),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // An error here is a client that disconnected.
            let _ = connection.await;
            drop(permit);
        });
    };
    drop(listener);
    eprintln!("stopping: waiting for running programs to end; a second signal ends them");
    tokio::select! {
        ended = tokio::time::timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()) => {
            if ended.is_err() {
                anyhow::bail!(
                    "programs still ran {SHUTDOWN_TIMEOUT:?} after the stop signal and were aborted"
                );
            }
        }
        _ = terminate.recv() => anyhow::bail!("stopped by a second signal"),
        _ = interrupt.recv() => anyhow::bail!("stopped by a second signal"),
    }
    Ok(())
}
