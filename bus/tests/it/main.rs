//! Every bus against one contract, and the bus over Redis against what happens to a Redis server.

mod bus_contract;
mod own_bus;
mod redis;
mod registry_contract;
