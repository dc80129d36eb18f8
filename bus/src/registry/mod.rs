//! The registry: which nodes run and what travels on which topic.
//!
//! It is MSight's, in the two hashes [`Table::Nodes`] and [`Table::Topics`]: Python's `msight_status` lists our nodes,
//! and ours lists Python's. Where MSight lets two nodes of one name overwrite each other, a name here has one
//! owner ([`Registration`]), and no node deletes or overwrites what another live node wrote.

mod claim;
mod error;
mod liveness;
mod malformed;
mod namesakes;
mod node;
mod owner;
mod table;
mod topic;

pub use self::claim::{Heartbeat, Registration};
pub use self::error::RegistryError;
pub use self::malformed::Malformed;
pub use self::namesakes::sources_of_sensor;
pub use self::node::{NodeRecord, Status, TopicNames, nodes};
pub use self::owner::Owner;
pub use self::table::{Registry, Swapped, Table};
pub use self::topic::{
    Declared, PYTHON_TYPES, SENSOR_DATA, TopicRecord, register_topic, resolve_topic, topics,
};
