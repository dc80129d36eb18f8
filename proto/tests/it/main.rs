//! The wire format: messages of MSight to the byte, and invalid payloads.

mod golden;
mod hostile;
