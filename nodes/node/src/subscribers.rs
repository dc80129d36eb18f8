//! Watches whether a topic has subscribers: a message without one is lost.

use std::time::Duration;

use msight_bus::{LocalTopics, OutageLimit, Topic};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::local::SharedSample;
use crate::queued::Significance;

/// Warns that a topic has no subscriber, which is more often a mistyped name or a stopped node than intended. The warning
/// comes after a while, because nodes start one after the other. A recording without a subscriber is lost data at once.
/// A bus that does not report its receivers causes neither.
#[derive(Default)]
pub(crate) struct SubscriberWatch {
    elsewhere: Elsewhere,
    /// There was a subscriber before.
    seen: bool,
    missing_since: Option<Instant>,
    /// The lines about live messages.
    lines: OutageLimit,
    /// Live messages without a subscriber that no line has reported.
    unreported: u64,
}

/// Where a topic may have other subscribers.
#[derive(Default)]
enum Elsewhere {
    #[default]
    Nowhere,
    /// On the bus, whose watch reports if neither end has a subscriber.
    Bus,
    /// In this process.
    Process(LocalTopics<SharedSample>),
}

impl SubscriberWatch {
    /// So long without a subscriber is worth a warning, and ends the attempts to reach one.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Between two attempts.
    pub(crate) const RETRY: Duration = Duration::from_millis(100);

    /// Of the nodes in this process, for a topic that is on the bus as well.
    pub(crate) fn beside_bus() -> Self {
        Self { elsewhere: Elsewhere::Bus, ..Self::default() }
    }

    /// Of the bus, for a topic that the nodes in this process have as well.
    pub(crate) fn beside_nodes(topics: LocalTopics<SharedSample>) -> Self {
        Self { elsewhere: Elsewhere::Process(topics), ..Self::default() }
    }

    /// Whether a subscriber may come back, for whom a message can be published again.
    pub(crate) fn may_return(&mut self, now: Instant) -> bool {
        self.seen && now - *self.missing_since.get_or_insert(now) < Self::PATIENCE
    }

    /// A message has reached a subscriber.
    pub(crate) fn heard(&mut self, topic: &Topic, now: Instant) {
        (self.seen, self.missing_since, self.unreported) = (true, None, 0);
        if let Some(line) = self.lines.recovered(now.into_std()) {
            info!(%topic, lasted_s = line.lasted.as_secs(), "subscriber found");
        }
    }

    /// A message has reached no subscriber, and is not published again. Returns whether it is dropped with that, and no live
    /// message that the next one replaces.
    pub(crate) fn unheard(&mut self, topic: &Topic, significance: Significance, now: Instant) -> bool {
        let since = *self.missing_since.get_or_insert(now);
        let is_over = now - since >= Self::PATIENCE;
        self.seen &= !is_over;
        let is_heard_elsewhere = match &self.elsewhere {
            Elsewhere::Nowhere => false,
            Elsewhere::Bus => true,
            Elsewhere::Process(topics) => topics.has_subscriber(topic),
        };
        if is_heard_elsewhere {
            return false;
        }
        if significance == Significance::Recording {
            return true;
        }
        self.unreported += 1;
        if is_over && self.lines.failed(now.into_std()).is_some() {
            let messages = std::mem::take(&mut self.unreported);
            if significance == Significance::Live {
                warn!(
                    %topic,
                    messages,
                    "no subscriber: messages are lost; check that both ends name the same topic"
                );
            } else {
                info!(
                    %topic,
                    messages,
                    "no subscriber: announcements are dropped, and the segments stay in their folder; if a node reads them \
                     there, check that both ends name the same topic"
                );
            }
        }
        significance == Significance::Announcement
    }
}

#[cfg(test)]
mod tests {
    use msight_bus::{Overflow, QueueConfig};

    use super::Significance::{Announcement, Live, Recording};
    use super::*;
    #[test]
    fn a_subscriber_may_return_for_ten_seconds() {
        let (mut watch, start) = (SubscriberWatch::default(), Instant::now());
        let topic = Topic::new("t").unwrap();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!watch.may_return(at(0)), "it was never there");
        watch.heard(&topic, at(30));
        assert!(watch.may_return(at(31)), "it was there a moment ago");
        assert!(!watch.unheard(&topic, Live, at(32)));
        assert!(!watch.lines.is_down());
        assert!(!watch.unheard(&topic, Live, at(41)));
        assert!(watch.lines.is_down() && !watch.may_return(at(41)));
        watch.heard(&topic, at(42));
        assert!(!watch.lines.is_down() && watch.may_return(at(43)));
    }

    #[test]
    fn a_recording_without_a_subscriber_is_a_loss_at_once() {
        let (now, topic) = (Instant::now(), Topic::new("t").unwrap());
        assert!(SubscriberWatch::default().unheard(&topic, Recording, now));
        assert!(!SubscriberWatch::default().unheard(&topic, Live, now));
        assert!(!SubscriberWatch::beside_bus().unheard(&topic, Recording, now));
        let topics = LocalTopics::default();
        let mut watch = SubscriberWatch::beside_nodes(topics.clone());
        let queue = QueueConfig { max_items: 1, max_bytes: 1, overflow: Overflow::DropOldest };
        let subscription = topics.subscribe(&topic, queue);
        assert!(!watch.unheard(&topic, Recording, now), "a node here has it");
        drop(subscription);
        assert!(watch.unheard(&topic, Recording, now), "neither end has it");
    }

    #[test]
    fn an_announcement_without_a_subscriber_is_dropped() {
        let (now, topic) = (Instant::now(), Topic::new("t").unwrap());
        assert!(SubscriberWatch::default().unheard(&topic, Announcement, now));
        assert!(!SubscriberWatch::beside_bus().unheard(&topic, Announcement, now));
    }
}
