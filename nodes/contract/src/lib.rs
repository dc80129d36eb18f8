//! What a node states of itself, as data that programs read: flags, topics, metrics and readiness.
//!
//! * [`Description`]: program, version, flags, the topics it reads and writes, its metrics. `PROGRAM --describe`
//!   prints it as JSON, in a [`Document`].
//! * [`Invocation`]: what a command line of the program means, or the [`Mistake`] in it.
//! * [`Metric`]: one metric with its kind, unit and labels. [`traffic`] has those that every node counts.
//! * [`Notification`]: what a running node reports over the sd_notify protocol.
//! * [`argparse`]: command lines read as Python's `argparse` reads them, by the flags of a description alone.
//!
//! * [`help()`]: the help of a program, made of its flags.
//!
//! A node gets them from the kit, `msight-node`; a launcher reads them of any program that
//! answers `--describe`, whatever its language.

pub mod argparse;
mod description;
mod document;
mod flag;
mod help;
mod invocation;
mod metric;
mod notification;
mod port;
pub mod traffic;

pub use self::description::{DEVICE_NAME, Description};
pub use self::document::{Document, FLAG, FORMAT};
pub use self::flag::{Choice, Flag};
pub use self::help::{Detail, Section, help, sections, usage, wrapped};
pub use self::invocation::{Invocation, Mistake, TopicUse};
pub use self::metric::{Label, LabelDescription, Metric, MetricDescription, MetricKind, Unit};
pub use self::notification::{Notification, SOCKET};
pub use self::port::{Kind, Port};
