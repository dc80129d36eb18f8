//! The contract of every bus and registry, and the bus on Redis during outages of the server.

mod bus_contract;
mod own_bus;
mod redis;
mod registry_contract;
