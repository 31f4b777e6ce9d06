//! The world's syslog daemon.

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, Sender, channel};

const SOCKET: &str = "/dev/log";
/// What the collector says when it has nothing more of what was sent before.
const SO_FAR: &str = "so far";
const END: &str = "end";

/// Listens on /dev/log, and keeps what is sent there.
///
/// A thread reads, for the socket's queue holds ten lines and a hook does not wait for room.
pub struct Syslog {
    to_collector: UnixDatagram,
    lines: Receiver<String>,
}

impl Syslog {
    /// Starts to listen.
    pub fn listen() -> Self {
        let socket = UnixDatagram::bind(SOCKET).unwrap();
        let to_collector = UnixDatagram::unbound().unwrap();
        to_collector.connect(SOCKET).unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || collect(&socket, &sender));
        Self { to_collector, lines }
    }

    /// What was sent since this was last asked.
    pub fn take(&mut self) -> Vec<String> {
        self.to_collector.send(SO_FAR.as_bytes()).unwrap();
        self.lines.iter().take_while(|line| line != SO_FAR).collect()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        let _ = self.to_collector.send(END.as_bytes());
    }
}

fn collect(socket: &UnixDatagram, lines: &Sender<String>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = socket.recv(&mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if line == END || lines.send(line).is_err() {
            return;
        }
    }
}
