//! The wire format: messages of MSight to the byte, and bytes that are no messages.

mod golden;
mod hostile;
