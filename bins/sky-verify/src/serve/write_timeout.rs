//! A connection whose writes time out when its client does not read.

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

/// The read rate, in bytes a second, that keeps a connection open beyond the time limit.
const MIN_RATE: f64 = 65536.0;

/// A stream whose writes wait for its reader at most `timeout` in all, and a second more for each
/// 64 KiB that the reader takes meanwhile.
pub(super) struct WriteTimeout<S> {
    stream: S,
    timeout: Duration,
    /// Bytes written since the first wait. Earlier bytes do not count: they may still lie in the
    /// system's buffers, unread.
    written: u64,
    /// The sum of all waits that have ended.
    waited: Duration,
    /// The wait of a write that is pending.
    wait: Option<Wait>,
}

struct Wait {
    since: Instant,
    deadline: Pin<Box<Sleep>>,
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(stream: S, timeout: Duration) -> Self {
        Self {
            stream,
            timeout,
            written: 0,
            waited: Duration::ZERO,
            wait: None,
        }
    }

    /// Passes a write's result on, or fails it when it has waited too long.
    fn limit_wait(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                let allowed =
                    self.timeout + Duration::from_secs_f64(self.written as f64 / MIN_RATE);
                let left = allowed.saturating_sub(self.waited);
                let wait = self.wait.get_or_insert_with(|| Wait {
                    since: Instant::now(),
                    deadline: Box::pin(sleep(left)),
                });
                if wait.deadline.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending
            }
            Poll::Ready(written) => {
                if let Some(wait) = self.wait.take() {
                    self.waited += wait.since.elapsed();
                }
                if let (Ok(bytes), false) = (&written, self.waited.is_zero()) {
                    self.written += *bytes as u64;
                }
                Poll::Ready(written)
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit_wait(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.limit_wait(context, written)
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

    use tokio::{
        io::{AsyncReadExt, duplex},
        time::timeout,
    };

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    /// Writes `bytes` to a client that reads at most `part` of them every `pause`; never when it is
    /// 0. The clock is paused: it jumps to the next timer whenever both sides wait.
    fn write(bytes: usize, part: usize, pause: Duration, limit: Duration) -> io::Result<()> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = duplex(200_000);
            let mut ours = WriteTimeout::new(ours, limit);
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
                    let _read = theirs.read(&mut into).await.unwrap();
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
    fn a_client_that_does_not_read_times_out() {
        let error = write(5_000_000, 0, Duration::from_millis(100), SHORT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_client_that_reads_single_bytes_times_out() {
        let error = write(5_000_000, 1, Duration::from_millis(10), SHORT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_client_that_reads_steadily_gets_everything() {
        // It takes 3 s, longer than the time limit.
        let limit = Duration::from_secs(2);
        write(12_000_000, 20_000, Duration::from_millis(5), limit).unwrap();
    }
}
