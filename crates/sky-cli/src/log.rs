use std::{
    env, fmt,
    io::{self, Write},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{FmtSpan, Writer},
    },
    registry::LookupSpan,
};

use crate::progress::suspend_bars;

/// Warnings, and the sandbox's line that it bakes its guest, since the user waits for that.
const DEFAULT_FILTER: &str = "warn,sky_sandbox=info";

/// Sends the libraries' events to standard error: each warning as one plain line. `RUST_LOG`
/// selects other events, printed with time, level and spans, and each span's end with its duration.
/// Does nothing when the process already has a subscriber.
pub(crate) fn init() {
    let asked = env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.is_empty());
    let filter = EnvFilter::new(asked.as_deref().unwrap_or(DEFAULT_FILTER));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Stderr);
    let set = if asked.is_some() {
        // A span's line at its end says how long it took.
        let full = lines
            .with_ansi(false)
            .with_span_events(FmtSpan::CLOSE)
            .finish();
        tracing::subscriber::set_global_default(full)
    } else {
        let plain = lines.event_format(Plain).finish();
        tracing::subscriber::set_global_default(plain)
    };
    // An error means that the embedding program has set a subscriber before.
    let _ = set;
}

/// Writes an event's message and fields, and nothing else.
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Standard error. Hides the progress bars while a line is written.
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        suspend_bars(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
