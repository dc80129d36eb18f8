//! The aggregator from frames to segments: what FFmpeg makes of them, and what slow and silent neighbours cost.

mod copy;
mod idle;
mod planes;
mod segments;
mod slow_bus;
mod video;
