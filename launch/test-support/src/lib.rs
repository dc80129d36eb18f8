//! What the tests of all crates share: real servers and cameras, programs that are watched, and waiting with a deadline.
//!
//! A crate has it among its `dev-dependencies`. Without features it depends on none of the other crates, so that the
//! tests of one crate build quickly; `bus`, `clock`, `hostile-names`, `tls` and `s3` add what needs
//! more.
//! What fails here panics, as a test does.

#[cfg(feature = "bus")]
pub mod bus;
pub mod camera;
#[cfg(feature = "clock")]
mod clock;
pub mod film;
#[cfg(feature = "hostile-names")]
pub mod hostile_names;
pub mod players;
mod port;
pub mod probe;
mod program;
pub mod redis;
mod required;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "tls")]
pub mod tls;
mod wait;

#[cfg(feature = "clock")]
pub use self::clock::Clock;
pub use self::port::free_port;
pub use self::program::Program;
pub use self::required::{can_run, is_installed, report_left_out};
pub use self::wait::{DEADLINE, blocking, eventually, until};
