//! Readers of header values, as cameras write them. They are pure, and none fails: what cannot be read is absent.

mod address;
mod cseq;
mod parameters;
mod session;
mod transport;

pub(crate) use self::address::resolve;
pub(crate) use self::cseq::sequence;
pub(crate) use self::session::Session;
pub(crate) use self::transport::Transport;
