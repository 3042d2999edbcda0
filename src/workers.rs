//! The data plane's threads.

use std::{future::Future, io, pin::Pin, thread};

use tokio::{sync::mpsc, task::LocalSet};

/// How many tasks wait for a worker to start them at the most.
const STARTS_MAX: usize = 256;

/// Makes a task for one worker, of what the thread has; called there, and the task never leaves it.
type Start<P> = Box<dyn FnOnce(&P) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The threads on which requests and queries over TCP are served, each with a runtime of its own.
///
/// Nothing is shared between them: what runs on one stays there, and so does its `P`, which all of its
/// tasks have. They end when this is dropped, with whatever still runs on them.
pub(crate) struct Workers<P>(Vec<Worker<P>>);

struct Worker<P> {
    starts: Option<mpsc::Sender<Start<P>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl<P: 'static> Workers<P> {
    /// Starts so many threads; `own` makes, on each of them, what its tasks share.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no more threads.
    pub(crate) fn start(
        count: usize,
        own: impl Fn() -> P + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let workers = (0..count.max(1)).map(|index| Worker::start(index, own.clone()));
        workers.collect::<Result<_, _>>().map(Self)
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Runs a task on the n-th worker; `make` is called there.
    pub(crate) async fn run<F: Future<Output = ()> + 'static>(
        &self,
        worker: usize,
        make: impl FnOnce(&P) -> F + Send + 'static,
    ) {
        let start: Start<P> = Box::new(move |own| Box::pin(make(own)));
        if let Some(starts) = &self.0[worker].starts {
            // A worker that is gone has panicked, and the process is about to end.
            starts.send(start).await.ok();
        }
    }
}

impl<P: 'static> Worker<P> {
    fn start(index: usize, own: impl FnOnce() -> P + Send + 'static) -> io::Result<Self> {
        let (starts, mut receiver) = mpsc::channel::<Start<P>>(STARTS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let work = move || {
            let tasks = LocalSet::new();
            tasks.block_on(&runtime, async move {
                let own = own();
                while let Some(start) = receiver.recv().await {
                    tokio::task::spawn_local(start(&own));
                }
            });
        };
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(work)?;
        Ok(Self {
            starts: Some(starts),
            thread: Some(thread),
        })
    }
}

impl<P> Drop for Worker<P> {
    fn drop(&mut self) {
        self.starts = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a worker has panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_task_runs_on_the_thread_of_its_worker() {
        let workers = Workers::start(2, || ()).unwrap();
        for index in 0..2 {
            let (sender, receiver) = oneshot::channel();
            workers
                .run(index, |()| async {
                    let name = thread::current().name().map(str::to_owned);
                    sender.send(name).unwrap();
                })
                .await;
            let name = receiver.await.unwrap().unwrap();
            assert_eq!(name, format!("worker-{index}"));
        }
    }

    #[tokio::test]
    async fn dropping_the_workers_ends_what_runs_on_them() {
        let workers = Workers::start(1, || ()).unwrap();
        let (held, dropped) = oneshot::channel::<()>();
        workers
            .run(0, |()| async move {
                let _held = held;
                std::future::pending().await
            })
            .await;
        tokio::task::spawn_blocking(|| drop(workers)).await.unwrap();
        assert!(dropped.await.is_err());
    }
}
