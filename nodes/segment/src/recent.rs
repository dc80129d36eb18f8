//! Recently used keys, so that two segments of the same second get different keys.

use std::collections::{HashMap, VecDeque};

/// Remembers which segment uses which key, for a bounded number of keys. It forgets the oldest first.
///
/// A server with conditional writes also rejects a used key, even after a restart. This check works with any server.
#[derive(Debug)]
pub struct RecentKeys {
    capacity: usize,
    owners: HashMap<String, String>,
    order: VecDeque<String>,
}

impl RecentKeys {
    /// Remembers at most `capacity` keys.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, owners: HashMap::new(), order: VecDeque::new() }
    }

    /// Claims a key for the segment of this identity. Returns whether the key was free or the segment's own.
    pub fn claim(&mut self, key: &str, identity: &str) -> bool {
        if let Some(owner) = self.owners.get(key) {
            return owner == identity;
        }
        if self.order.len() >= self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.owners.remove(&oldest);
        }
        self.owners.insert(key.to_owned(), identity.to_owned());
        self.order.push_back(key.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_its_first_segment_until_forgotten() {
        let mut recent = RecentKeys::new(2);
        assert!(recent.claim("a", "1"));
        assert!(recent.claim("a", "1"), "a message delivered twice keeps its key");
        assert!(!recent.claim("a", "2"));
        assert!(recent.claim("b", "2") && recent.claim("c", "3"));
        assert!(recent.claim("a", "2"), "forgotten by now");
        assert_eq!(recent.owners.len(), 2);
    }
}
