//! MSight's `--gap`: leaving out messages by count.

/// Lets every (gap + 1)-th message pass, beginning with the (gap + 1)-th: `--gap 1` passes 2, 4, 6 … A gap of
/// -1 passes all, a lower one none (`nodes/base.py`, `Counter`).
#[derive(Clone, Debug)]
pub struct Gap {
    gap: i64,
    seen: i64,
}

impl Gap {
    /// The gap of the flag.
    pub fn new(gap: i64) -> Self {
        Self { gap, seen: 0 }
    }

    /// Counts one message, and says whether it passes.
    pub fn passes(&mut self) -> bool {
        match self.gap {
            ..-1 => false,
            -1 => true,
            gap if self.seen >= gap => {
                self.seen = 0;
                true
            }
            _ => {
                self.seen += 1;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_messages_pass_as_in_msight() {
        let cases: serde_json::Value = serde_json::from_str(include_str!("../tests/data/gap.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let mut gap = Gap::new(case["gap"].as_i64().unwrap());
            let passed: Vec<i64> = (1..=12).filter(|_| gap.passes()).collect();
            assert_eq!(serde_json::json!(passed), case["delivered_of_12"], "gap {}", case["gap"]);
        }
    }
}
