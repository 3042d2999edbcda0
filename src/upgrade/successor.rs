//! The new process, as the old one sees it.

use std::{env, io, os::fd::AsFd, process::Stdio, time::Duration};

use registry::Controls;
use tokio::process::{Child, Command};

use super::{Legacy, Message, VARIABLE, channel::Channel};

/// A process that gets ready to replace this one; it is killed when this is dropped before it is.
#[derive(Debug)]
pub(crate) struct Successor {
    child: Child,
    channel: Channel,
    controls: Controls,
    is_ready: bool,
}

impl Successor {
    /// Starts the program anew, from the path and with the arguments that this process was started with.
    ///
    /// # Errors
    ///
    /// Returns in words why it can't be started.
    pub(crate) fn start(controls: Controls) -> Result<Self, String> {
        let mut arguments = env::args_os();
        let program = arguments.next().ok_or("the program has no name")?;
        let start = || {
            let (channel, theirs) = Channel::pair()?;
            let child = Command::new(&program)
                .args(arguments)
                .env(VARIABLE, std::process::id().to_string())
                // Those were for this process.
                .env_remove("LISTEN_FDNAMES")
                .stdin(Stdio::from(theirs))
                .spawn()?;
            Ok::<_, io::Error>((child, channel))
        };
        let (child, channel) =
            start().map_err(|error| format!("can't start {}: {error}", program.display()))?;
        Ok(Self {
            child,
            channel,
            controls,
            is_ready: false,
        })
    }

    /// Returns the number of the process.
    pub(crate) fn id(&self) -> u32 {
        // It isn't known any more once the process has ended and was waited for.
        self.child.id().unwrap_or_default()
    }

    /// Hands over and waits until the new process serves, but not longer than `patience`.
    ///
    /// # Errors
    ///
    /// Returns in words why it doesn't; then it has ended, and this process has all that it had.
    pub(crate) async fn ready(
        &mut self,
        legacy: &Legacy,
        patience: Duration,
    ) -> Result<(), String> {
        let served = tokio::time::timeout(patience, self.serve(legacy)).await;
        let reason = match served {
            Ok(Ok(())) => {
                self.is_ready = true;
                return Ok(());
            }
            Ok(Err(error)) if tells_of_an_end(&error) => match self.child.wait().await {
                Ok(status) => format!("it ended before it was ready: {status}"),
                Err(error) => format!("it ended before it was ready: {error}"),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it wasn't ready after {patience:?} (upgrade_timeout)"),
        };
        // It may have ended by itself; what it had open is closed once it has.
        self.child.kill().await.ok();
        self.controls.resume_stores().await.ok();
        Err(reason)
    }

    /// Sends everything and does what the new process asks for, until it is ready.
    async fn serve(&self, legacy: &Legacy) -> io::Result<()> {
        for (part, listen, socket) in &legacy.sockets {
            let (part, listen) = (*part, *listen);
            let message = Message::Socket { part, listen };
            self.channel.send(&message, Some(socket.as_fd())).await?;
        }
        let snapshot = self.controls.snapshot();
        for (name, service) in snapshot.services() {
            for instance in service.instances.iter().filter(|one| one.drained) {
                let (service, id) = (name.clone(), instance.id.clone());
                let message = Message::Drained { service, id };
                self.channel.send(&message, None).await?;
            }
        }
        let state = Message::State(legacy.state.clone());
        self.channel.send(&state, None).await?;
        loop {
            match self.channel.receive().await?.0 {
                Message::Ready => return Ok(()),
                Message::ReleaseStores => {
                    // Without a registry there is no store that could be open.
                    self.controls.release_stores().await.ok();
                    self.channel.send(&Message::StoresReleased, None).await?;
                }
                other => return Err(io::Error::other(format!("{other:?} wasn't expected"))),
            }
        }
    }
}

fn tells_of_an_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_ready {
            // It may have ended by itself.
            self.child.start_kill().ok();
        }
    }
}
