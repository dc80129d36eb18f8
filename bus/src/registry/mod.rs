//! The registry of running nodes and of topics with their message types.
//!
//! It is the registry of MSight, in the two hashes [`Table::Nodes`] and [`Table::Topics`]: Python's `msight_status`
//! lists our nodes, and ours lists Python's. MSight lets two nodes of one name overwrite each other. Here a name has
//! one owner ([`Registration`]), and no node deletes or overwrites the record of another live node.

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
pub use self::namesakes::shared_sensors;
pub use self::node::{NodeRecord, Status, TopicNames, nodes};
pub use self::owner::Owner;
pub(crate) use self::table::{MAX_RECORD_BYTES, MAX_TABLE_BYTES};
pub use self::table::{Registry, Swapped, Table};
pub use self::topic::{
    Declared, PYTHON_TYPES, SENSOR_DATA, TopicRecord, register_topic, resolve_topic, topics,
};
