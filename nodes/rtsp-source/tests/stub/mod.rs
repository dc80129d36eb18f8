//! A scripted RTSP server with full control over every response, packet, sequence number, timestamp and time.
//!
//! Each connection is served by a thread that runs the test's script. A script ends when it returns, or when the client
//! disconnects: every method that sends or receives then returns an error, for `?`.

pub(crate) mod connection;
pub(crate) mod footage;
pub(crate) mod rtp;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use rtsp_types::Method;

use self::connection::Connection;
use self::footage::Footage;
use self::rtp::Sender;

/// A server that runs its script for each connection, until it is dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    connected: Arc<Mutex<Vec<Instant>>>,
    stop: Arc<AtomicBool>,
}

impl Stub {
    /// Serves on a free port. The script gets the connection and how many there were before.
    pub(crate) fn start(
        script: impl Fn(&mut Connection, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0", script)
    }

    /// Plays this footage at `fps` from the first packet on, with the timestamps of `sender`.
    pub(crate) fn plays(
        footage: Footage,
        fps: f64,
        sender: impl Fn() -> Sender + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |camera, _| {
            camera.serve(&footage, &Method::Play)?;
            camera.play(&mut sender(), &footage, fps)?;
            camera.wait_for_disconnect()
        })
    }

    /// Serves on a given address.
    pub(crate) fn start_at(
        address: &str,
        script: impl Fn(&mut Connection, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the port is free");
        let address = listener.local_addr().expect("it is bound");
        let (connected, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (script, count) = (Arc::new(script), AtomicUsize::new(0));
        let (seen, stopped) = (connected.clone(), stop.clone());
        thread::spawn(move || {
            while let Ok((tcp, _)) = listener.accept() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                seen.lock().unwrap().push(Instant::now());
                let (script, before) = (script.clone(), count.fetch_add(1, Ordering::Relaxed));
                // An error means that the client has disconnected. The test checks the client's log.
                thread::spawn(move || script(&mut Connection::new(tcp), before));
            }
        });
        Self { address, connected, stop }
    }

    /// The URL of the stream; `credentials` is empty or ends in `@`.
    pub(crate) fn url(&self, credentials: &str) -> String {
        format!("rtsp://{credentials}{}/main", self.address)
    }

    /// When clients connected.
    pub(crate) fn connected(&self) -> Vec<Instant> {
        self.connected.lock().unwrap().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = std::net::TcpStream::connect(self.address);
    }
}
