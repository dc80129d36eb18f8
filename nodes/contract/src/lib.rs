//! The description of a node as data that programs read: flags, topics, metrics and readiness.
//!
//! * [`Description`]: program, version, flags, the topics it reads and writes, its metrics. `PROGRAM --describe`
//!   prints it as JSON, in a [`Document`].
//! * [`Invocation`]: a parsed command line of the program, or the [`Mistake`] in it.
//! * [`Metric`]: one metric with its kind, unit and labels. [`traffic`] has those that every node counts.
//! * [`Notification`]: what a running node reports over the sd_notify protocol.
//! * [`argparse`]: command lines parsed as by Python's `argparse`, from the flags of a description alone.
//! * [`suggest`]: the known name that a mistyped flag, topic or key resembles.
//! * [`help()`]: the help of a program, generated from its flags.
//!
//! A node gets them from the kit, `msight-node`. A launcher reads them from any program that answers `--describe`, in
//! any language.

pub mod argparse;
mod description;
mod document;
mod flag;
mod help;
mod invocation;
mod metric;
mod notification;
mod port;
pub mod suggest;
pub mod traffic;

pub use self::description::{DEVICE_NAME, Description};
pub use self::document::{Document, FLAG, FORMAT};
pub use self::flag::{Choice, Flag};
pub use self::help::{Detail, Section, grouped, help, sections, usage, wrapped};
pub use self::invocation::{Invocation, Mistake, TopicUse};
pub use self::metric::{Label, LabelDescription, Metric, MetricDescription, MetricKind, Unit};
pub use self::notification::{Notification, SOCKET};
pub use self::port::{Kind, Port};
