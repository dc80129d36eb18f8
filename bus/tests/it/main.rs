//! Every bus against one contract, and the bus over Redis against what happens to a Redis server.

mod contract;
mod redis;
