//! An unreliable network between a camera and a client. RTSP connections pass unchanged; RTP packets over UDP are
//! dropped, reordered and duplicated.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Probabilities of the impairments of RTP packets, independent of each other. The same seed gives the same random
/// numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairments {
    pub(crate) seed: u64,
    pub(crate) loss: f64,
    /// Packets that are overtaken by up to six others of their frame.
    pub(crate) reordering: f64,
    pub(crate) duplication: f64,
}

/// A relay that forwards connections and packets until it is dropped.
pub(crate) struct Hop {
    /// The RTSP port for the client.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    /// RTP and RTCP ports of both ends of the session.
    client: [AtomicU16; 2],
    camera: [AtomicU16; 2],
    /// The RTCP packets of the client.
    reports: Mutex<Vec<Vec<u8>>>,
}

impl Hop {
    /// Starts a relay to the camera at port `camera` of this machine.
    pub(crate) fn start(camera: u16, impairments: Impairments) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let all = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if all.ended.load(Ordering::Relaxed) {
                    break;
                }
                let camera = TcpStream::connect((Ipv4Addr::LOCALHOST, camera)).unwrap();
                session(client, camera, impairments, &all);
            }
        });
        Self { port, shared }
    }

    /// The URL of the stream through the relay.
    pub(crate) fn url(&self, credentials: &str) -> String {
        format!("rtsp://{credentials}127.0.0.1:{}/main", self.port)
    }

    /// The RTCP packets that the client has sent.
    pub(crate) fn reports(&self) -> Vec<Vec<u8>> {
        self.shared.reports.lock().unwrap().clone()
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn session(client: TcpStream, camera: TcpStream, impairments: Impairments, shared: &Arc<Shared>) {
    let sockets = loop {
        let first = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if port.is_multiple_of(2)
            && let Ok(second) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port + 1))
        {
            break [first, second];
        }
    };
    let port = sockets[0].local_addr().unwrap().port();
    for (index, socket) in sockets.into_iter().enumerate() {
        let shared = shared.clone();
        thread::spawn(move || datagrams(&socket, index, impairments, &shared));
    }
    let (from, to) = (client.try_clone().unwrap(), camera.try_clone().unwrap());
    let all = shared.clone();
    thread::spawn(move || messages(from, to, "client_port=", port, &all.client));
    let all = shared.clone();
    thread::spawn(move || messages(camera, client, "server_port=", port, &all.camera));
}

/// Forwards RTSP messages, and replaces the ports after `name` by those of the relay. Both ends write a message at
/// once.
fn messages(mut from: TcpStream, mut to: TcpStream, name: &str, port: u16, ports: &[AtomicU16; 2]) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let mut text = buffer[..length].to_vec();
        let message = String::from_utf8_lossy(&text).into_owned();
        if let Some((before, rest)) = message.split_once(name) {
            let end = rest.find([';', '\r']).unwrap_or(rest.len());
            for (known, message) in ports.iter().zip(rest[..end].split('-')) {
                known.store(message.parse().unwrap(), Ordering::Relaxed);
            }
            text = format!("{before}{name}{port}-{}{}", port + 1, &rest[end..]).into_bytes();
        }
        if to.write_all(&text).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Forwards datagrams between the ports with this index.
fn datagrams(socket: &UdpSocket, index: usize, impairments: Impairments, shared: &Shared) {
    let mut random = fastrand::Rng::with_seed(impairments.seed);
    let mut chance = |probability: f64| random.f64() < probability;
    let mut held: Vec<Vec<u8>> = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while !shared.ended.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let packet = &buffer[..length];
        let send = |packet: &[u8], ports: &[AtomicU16; 2]| {
            let _ = socket.send_to(packet, (Ipv4Addr::LOCALHOST, ports[index].load(Ordering::Relaxed)));
        };
        if from.port() == shared.client[index].load(Ordering::Relaxed) {
            if index == 1 {
                shared.reports.lock().unwrap().push(packet.to_vec());
            }
            send(packet, &shared.camera);
            continue;
        }
        if index == 1 {
            send(packet, &shared.client);
            continue;
        }
        let (lost, late, again) =
            (chance(impairments.loss), chance(impairments.reordering), chance(impairments.duplication));
        let last_of_frame = packet[1] & 0x80 != 0;
        match (lost, late && !last_of_frame) {
            (true, _) => {}
            (false, true) => held.push(packet.to_vec()),
            (false, false) => {
                send(packet, &shared.client);
                if again {
                    send(packet, &shared.client);
                }
            }
        }
        // Do not hold packets across frames, because the time between frames depends on the machine.
        if held.len() > 6 || last_of_frame {
            held.drain(..).rev().for_each(|packet| send(&packet, &shared.client));
        }
    }
}
