//! Pixels: colour, JPEG, sizes, and pictures in messages.

mod convert;
mod decoded;
mod jpeg;
mod message;
mod size;
