//! A well-behaved camera, of which every answer and every packet can be changed.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use msight_proto::unix_now;
use rtsp_types::headers::TRANSPORT;
use rtsp_types::{Method, Request};

use crate::film::{self, Film};
use crate::login::Login;
use crate::stub::connection::{Connection, SESSION, answer_head};
use crate::stub::rtp::{FIRST_STAMP, Sender, interleaved, payloads};

/// Frames a second.
pub(crate) const FPS: f64 = 25.0;
/// Ticks of a timestamp from one frame to the next.
pub(crate) const STEP: u32 = 3600;
/// Frames between two sender reports.
const REPORT_INTERVAL: usize = 10;

/// The pieces of one frame: NAL units, payloads, packets, or packets with the header of their channel.
pub(crate) type Pieces = Vec<Vec<u8>>;

type EditText = Box<dyn Fn(String) -> String + Send + Sync>;
type EditPieces = Box<dyn Fn(usize, Pieces) -> Pieces + Send + Sync>;

/// The camera. All that it sends passes through the edits, which get the number of the frame.
pub(crate) struct Camera {
    pub(crate) film: &'static Film,
    /// The login that the camera requires.
    pub(crate) login: Option<Login>,
    /// The user and the password in the client's URL.
    pub(crate) credentials: (&'static str, &'static str),
    /// The time-out of a session, seconds.
    pub(crate) timeout: u32,
    /// The timestamp of a frame.
    pub(crate) stamp: fn(usize) -> u32,
    /// The channel of the packets, if not the one that the client asked for.
    pub(crate) channel: Option<u8>,
    /// The text of an answer as bytes.
    pub(crate) encode: fn(String) -> Vec<u8>,
    description: Vec<EditText>,
    answers: Vec<(Option<Method>, EditText)>,
    nals: Vec<EditPieces>,
    payloads: Vec<EditPieces>,
    packets: Vec<EditPieces>,
    blocks: Vec<EditPieces>,
    reports: Vec<EditPieces>,
    /// Something was sent that a well-behaved camera would not send.
    pub(crate) deviated: AtomicBool,
    /// When each frame was due, seconds since 1970.
    pub(crate) due: Mutex<Vec<f64>>,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            film: &film::PLAIN,
            login: None,
            credentials: ("", ""),
            timeout: 60,
            stamp: well_behaved_stamp,
            channel: None,
            encode: String::into_bytes,
            description: Vec::new(),
            answers: Vec::new(),
            nals: Vec::new(),
            payloads: Vec::new(),
            packets: Vec::new(),
            blocks: Vec::new(),
            reports: Vec::new(),
            deviated: AtomicBool::new(false),
            due: Mutex::default(),
        }
    }
}

/// The timestamp of a frame of the well-behaved camera.
pub(crate) fn well_behaved_stamp(frame: usize) -> u32 {
    FIRST_STAMP + frame as u32 * STEP
}

/// How a row of the table changes the camera. Each method is one deviation.
impl Camera {
    /// Replaces a text of the description.
    pub(crate) fn sdp(&mut self, from: &'static str, to: &'static str) {
        self.sdp_text(move |text| text.replace(from, to));
    }

    /// Changes the description.
    pub(crate) fn sdp_text(&mut self, edit: impl Fn(String) -> String + Send + Sync + 'static) {
        self.description.push(Box::new(edit));
    }

    /// Replaces a text in the head of every answer.
    pub(crate) fn answers(&mut self, from: &'static str, to: &'static str) {
        self.answers_text(move |text| text.replace(from, to));
    }

    /// Changes the head of every answer.
    pub(crate) fn answers_text(&mut self, edit: impl Fn(String) -> String + Send + Sync + 'static) {
        self.answers.push((None, Box::new(edit)));
    }

    /// Replaces a text in the head of the answer to a request.
    pub(crate) fn answer(&mut self, method: Method, from: &'static str, to: &'static str) {
        self.answers.push((Some(method), Box::new(move |text| text.replace(from, to))));
    }

    /// Changes the NAL units of a frame.
    pub(crate) fn nals(&mut self, edit: impl Fn(usize, Pieces) -> Pieces + Send + Sync + 'static) {
        self.nals.push(Box::new(edit));
    }

    /// Changes the payloads of a frame. The marker is on the last one.
    pub(crate) fn payloads(&mut self, edit: impl Fn(usize, Pieces) -> Pieces + Send + Sync + 'static) {
        self.payloads.push(Box::new(edit));
    }

    /// Changes the RTP packets of a frame.
    pub(crate) fn packets(&mut self, edit: impl Fn(usize, Pieces) -> Pieces + Send + Sync + 'static) {
        self.packets.push(Box::new(edit));
    }

    /// Changes what is sent for a frame: interleaved packets, or anything between them.
    pub(crate) fn blocks(&mut self, edit: impl Fn(usize, Pieces) -> Pieces + Send + Sync + 'static) {
        self.blocks.push(Box::new(edit));
    }

    /// Changes the RTCP packets before a frame.
    pub(crate) fn reports(&mut self, edit: impl Fn(usize, Pieces) -> Pieces + Send + Sync + 'static) {
        self.reports.push(Box::new(edit));
    }

    /// Challenges clients with these headers, in which `NONCE` stands for the nonce.
    pub(crate) fn challenges(&mut self, challenges: &'static str) {
        self.credentials = ("viewer", "geheim");
        self.login = Some(Login::new(challenges));
    }

    /// Shows another film.
    pub(crate) fn shows(&mut self, film: &'static Film) {
        self.film = film;
        self.deviated.store(true, Ordering::Relaxed);
    }
}

/// A session of one client.
struct Session {
    channel: u8,
    nonce: usize,
}

impl Camera {
    /// Serves one client until it disconnects.
    pub(crate) fn serve(&self, connection: &mut Connection) -> io::Result<()> {
        let mut session = Session { channel: 0, nonce: 0 };
        loop {
            let request = connection.request()?;
            let authorised = self.respond(connection, &request, &mut session)?;
            if authorised && *request.method() == Method::Play {
                return self.play(connection, &mut session);
            }
        }
    }

    fn play(&self, connection: &mut Connection, session: &mut Session) -> io::Result<()> {
        let (began, began_at) = (Instant::now(), unix_now());
        let mut sender = Sender::new(FPS);
        for (frame, unit) in self.film.footage.units.iter().enumerate() {
            let due = frame as f64 / FPS;
            let wait = began + Duration::from_secs_f64(due);
            thread::sleep(wait.saturating_duration_since(Instant::now()));
            while let Some(request) = connection.request_by_now()? {
                self.respond(connection, &request, session)?;
            }
            self.due.lock().unwrap().push(began_at + due);
            let bytes = self.frame(&mut sender, frame, unit, session.channel);
            connection.send(bytes)?;
        }
        connection.end()
    }

    /// What is sent for a frame.
    fn frame(&self, sender: &mut Sender, frame: usize, unit: &[Vec<u8>], channel: u8) -> Vec<u8> {
        sender.timestamp = (self.stamp)(frame);
        self.mark(sender.timestamp != well_behaved_stamp(frame));
        let nals = self.edit(&self.nals, frame, unit.to_vec());
        let payloads = nals.iter().flat_map(|nal| payloads(nal)).collect();
        let payloads = self.edit(&self.payloads, frame, payloads);
        let count = payloads.len();
        let packet = |(index, payload): (usize, &Vec<u8>)| sender.packet(index + 1 == count, payload);
        let packets = payloads.iter().enumerate().map(packet).collect();
        let packets = self.edit(&self.packets, frame, packets);
        let due = frame.is_multiple_of(REPORT_INTERVAL);
        let reports = due.then(|| sender.report(0.0)).into_iter().collect();
        let reports = self.edit(&self.reports, frame, reports);
        let channel = self.channel.unwrap_or(channel);
        let reports = reports.iter().map(|packet| interleaved(channel + 1, packet));
        let blocks = reports.chain(packets.iter().map(|packet| interleaved(channel, packet))).collect();
        self.edit(&self.blocks, frame, blocks).concat()
    }

    fn edit(&self, edits: &[EditPieces], frame: usize, mut pieces: Pieces) -> Pieces {
        for edit in edits {
            let edited = edit(frame, pieces.clone());
            self.mark(edited != pieces);
            pieces = edited;
        }
        pieces
    }

    fn edit_text<'a>(&self, edits: impl Iterator<Item = &'a EditText>, mut text: String) -> String {
        for edit in edits {
            let edited = edit(text.clone());
            self.mark(edited != text);
            text = edited;
        }
        text
    }

    fn mark(&self, deviates: bool) {
        self.deviated.fetch_or(deviates, Ordering::Relaxed);
    }

    /// Answers a request. Returns whether the client is authorised.
    fn respond(
        &self,
        connection: &mut Connection,
        request: &Request<Vec<u8>>,
        session: &mut Session,
    ) -> io::Result<bool> {
        let uri = request.request_uri().map(ToString::to_string).unwrap_or_default();
        let challenge = self
            .login
            .as_ref()
            .and_then(|login| login.challenge(request, self.credentials, &mut session.nonce));
        let authorised = challenge.is_none();
        let mut body = Vec::new();
        let (status, headers) = match (challenge, request.method()) {
            (Some(challenge), _) => {
                self.mark(true);
                ("401 Unauthorized", challenge)
            }
            (None, Method::Options) => {
                let methods = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER";
                ("200 OK", format!("Public: {methods}\r\n"))
            }
            (None, Method::Describe) => {
                body = (self.encode)(self.edit_text(self.description.iter(), self.film.description()));
                ("200 OK", format!("Content-Type: application/sdp\r\nContent-Base: {uri}/\r\n"))
            }
            (None, Method::Setup) => {
                let asked = request.header(&TRANSPORT).map(|value| value.as_str()).unwrap_or_default();
                let channels = asked.split("interleaved=").nth(1).unwrap_or("0-1");
                let channels = channels.split([';', ',']).next().unwrap_or_default();
                if !uri.ends_with("other") {
                    session.channel = channels.split('-').next().and_then(|c| c.parse().ok()).unwrap_or(0);
                }
                let transport = format!("RTP/AVP/TCP;unicast;interleaved={channels};ssrc=6D736967");
                let headers =
                    format!("Session: {SESSION};timeout={}\r\nTransport: {transport}\r\n", self.timeout);
                ("200 OK", headers)
            }
            (None, Method::Play) => {
                let info = format!("url={uri}/track;seq=1000;rtptime={}", (self.stamp)(0));
                let headers = format!("Session: {SESSION}\r\nRange: npt=0.000-\r\nRTP-Info: {info}\r\n");
                ("200 OK", headers)
            }
            (None, _) => ("200 OK", format!("Session: {SESSION}\r\n")),
        };
        let head = answer_head(request, status, &headers, body.len());
        let applies =
            |method: &Option<Method>| method.as_ref().is_none_or(|method| method == request.method());
        let edits = self.answers.iter().filter(|(method, _)| applies(method)).map(|(_, edit)| edit);
        let head = self.edit_text(edits, head);
        connection.send([head.into_bytes(), body].concat())?;
        Ok(authorised)
    }
}

/// Parameter sets as a description has them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}
