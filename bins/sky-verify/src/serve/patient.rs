//! A connection that does not wait for ever for its client to read.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Bytes a second that a client has to read to be waited for longer than the patience.
const SLOWEST: f64 = 65536.0;

/// A stream whose writes may wait for its reader no longer than the patience in all, and a second more for each 64 KiB that the
/// reader takes meanwhile.
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Bytes written since the first wait: what was written before may lie in the system's buffers.
    written: u64,
    waited: Duration,
    /// While a write waits: since when, and until when it may.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            written: 0,
            waited: Duration::ZERO,
            waiting: None,
        }
    }

    fn after(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                let allowed =
                    self.patience + Duration::from_secs_f64(self.written as f64 / SLOWEST);
                let left = allowed.saturating_sub(self.waited);
                let (_, end) = self
                    .waiting
                    .get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
                if end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending
            }
            Poll::Ready(written) => {
                if let Some((since, _)) = self.waiting.take() {
                    self.waited += since.elapsed();
                }
                if let (Ok(bytes), false) = (&written, self.waited.is_zero()) {
                    self.written += *bytes as u64;
                }
                Poll::Ready(written)
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.after(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::poll_fn;

    use tokio::{net::UnixStream, time::timeout};

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    /// Writes so many bytes to a client that reads `part` of them every `pause`; none when it is 0.
    fn write(bytes: usize, part: usize, pause: Duration, patience: Duration) -> io::Result<()> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut ours = Patient::new(ours, patience);
            let chunk = vec![7; 50_000];
            let writer = async {
                let mut left = bytes;
                while left > 0 {
                    let most = &chunk[..left.min(chunk.len())];
                    left -=
                        poll_fn(|context| Pin::new(&mut ours).poll_write(context, most)).await?;
                }
                Ok(())
            };
            let reader = async {
                let mut into = vec![0; part];
                loop {
                    sleep(pause).await;
                    // Nothing there is no matter.
                    let _ = theirs.try_read(&mut into);
                }
            };
            let both = async {
                tokio::select! {
                    written = writer => written,
                    () = reader => unreachable!(),
                }
            };
            timeout(Duration::from_secs(60), both).await.unwrap()
        })
    }

    #[test]
    fn who_does_not_read_is_given_up_on() {
        let error = write(5_000_000, 0, Duration::from_millis(100), SHORT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_byte_now_and_then_is_not_reading() {
        let error = write(5_000_000, 1, Duration::from_millis(10), SHORT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn who_reads_steadily_gets_everything() {
        // It takes longer than the patience.
        let patience = Duration::from_secs(2);
        write(12_000_000, 20_000, Duration::from_millis(5), patience).unwrap();
    }
}
