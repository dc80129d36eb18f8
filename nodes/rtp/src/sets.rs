//! The parameter sets of a stream, by their ids.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use msight_media::{ParameterSets, nal};

use crate::fault::Fault;
use crate::syntax::Syntax;

/// Maximum length of all sets together, bytes. Streams have a few sets of less than a hundred bytes each.
const MAX_BYTES: usize = 64 << 10;

/// The parameter sets of a stream. A later set replaces the one with its id.
#[derive(Debug)]
pub(crate) struct Sets<S> {
    by_id: BTreeMap<(u8, u32), Bytes>,
    /// `by_id` as units have it, until it changes.
    current: Option<Arc<ParameterSets>>,
    syntax: PhantomData<S>,
}

impl<S: Syntax> Sets<S> {
    /// With the sets of a description. Those that cannot be used are left out.
    pub(crate) fn new(described: Option<&ParameterSets>) -> Self {
        let mut sets = Self { by_id: BTreeMap::new(), current: None, syntax: PhantomData };
        for set in described.map(ParameterSets::all).unwrap_or_default() {
            let _ = sets.insert(nal::without_trailing_zeros(set));
        }
        sets
    }

    /// Takes a set that the stream has sent.
    ///
    /// # Errors
    /// It cannot be used; nothing has changed.
    pub(crate) fn insert(&mut self, set: &[u8]) -> Result<(), Fault> {
        let key = S::set_id(set).ok_or(Fault::BadNal)?;
        let known = self.by_id.get(&key);
        if known.is_some_and(|known| known[..] == *set) {
            return Ok(());
        }
        // A damaged set must not replace a good one.
        if S::is_sps(set) && !S::is_readable_sps(set) && known.is_some_and(|known| S::is_readable_sps(known))
        {
            return Err(Fault::BadNal);
        }
        let others: usize =
            self.by_id.iter().filter(|(other, _)| **other != key).map(|(_, set)| set.len()).sum();
        if others + set.len() > MAX_BYTES {
            return Err(Fault::TooLong);
        }
        self.by_id.insert(key, Bytes::copy_from_slice(set));
        self.current = None;
        Ok(())
    }

    /// All sets; `None` before the stream has one of each kind.
    pub(crate) fn current(&mut self) -> Option<Arc<ParameterSets>> {
        if self.current.is_none() {
            let is_complete =
                (0..S::RANKS).all(|rank| self.by_id.range((rank, 0)..(rank + 1, 0)).next().is_some());
            let sets = || Arc::new(ParameterSets::new(self.by_id.values().cloned().collect()));
            self.current = is_complete.then(sets);
        }
        self.current.clone()
    }
}
