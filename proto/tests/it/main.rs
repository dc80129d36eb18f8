//! The wire format: messages of MSight to the byte, and invalid payloads.

mod access_units;
mod golden;
mod hostile;
