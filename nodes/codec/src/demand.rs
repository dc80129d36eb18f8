//! Which pictures nodes ask for.

/// While nodes look at every picture, so many more are decoded before they are asked for: as many as wait in a node's queue.
/// If the nodes then stop looking, no more than these were decoded for nothing.
const AHEAD: u64 = 64;

/// Sees whether nodes look at every picture of a stream. Then the thread that receives the stream decodes, while other
/// threads work on the pictures before.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    /// The number of the next picture.
    next: u64,
    /// The latest picture that was asked for.
    last: Option<u64>,
    /// The picture before it was asked for as well.
    in_row: bool,
}

impl Demand {
    /// The number of a picture that is passed on.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// A node asks for the picture with this number.
    pub(crate) fn asked(&mut self, number: u64) {
        if self.last.is_none_or(|last| number > last) {
            self.in_row = number.checked_sub(1).is_some_and(|before| self.last == Some(before));
            self.last = Some(number);
        }
    }

    /// Whether the picture with this number will be asked for, as far as can be told.
    pub(crate) fn is_expected(&self, number: u64) -> bool {
        self.in_row && self.last.is_some_and(|last| number <= last + AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_expected_while_every_one_is_asked_for() {
        let mut demand = Demand::default();
        assert_eq!([(); 3].map(|()| demand.number()), [0, 1, 2]);
        assert!(!demand.is_expected(0));
        demand.asked(0);
        assert!(!demand.is_expected(1), "it may be the only one");
        demand.asked(1);
        assert!(demand.is_expected(2) && demand.is_expected(1 + AHEAD) && !demand.is_expected(2 + AHEAD));
        // An earlier one that another node asks for changes nothing.
        demand.asked(0);
        assert!(demand.is_expected(2));
        for every_tenth in [11, 21, 31] {
            demand.asked(every_tenth);
            assert!(!demand.is_expected(every_tenth + 1));
        }
    }
}
