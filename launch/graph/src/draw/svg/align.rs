//! Places the items of each column vertically: near their neighbours, in the order of the column, without overlap.

use super::columns::{Item, Neighbours};

/// The number of passes over the columns, to the left and to the right. The last one leads to the right.
const SWEEPS: usize = 8;

/// The space between two items of a column.
const GAP: f64 = 22.0;

/// The weight of a piece of an edge between two bends: a long edge is to be straight.
const STRAIGHT: f64 = 8.0;

/// The vertical centres of all items.
pub(super) fn centres(columns: &[Vec<usize>], items: &[Item], neighbours: &Neighbours) -> Vec<f64> {
    let mut centres = vec![0.0; items.len()];
    for sweep in 0..SWEEPS {
        // Near the column before: so a chain of items is a straight line.
        let leads_right = sweep % 2 == 1;
        let others = if leads_right { &neighbours.left } else { &neighbours.right };
        for step in 0..columns.len() {
            let column = &columns[if leads_right { step } else { columns.len() - 1 - step }];
            let wanted: Vec<(f64, f64)> =
                column.iter().map(|item| wanted(*item, items, &others[*item], &centres)).collect();
            let distances: Vec<f64> =
                column.windows(2).map(|pair| distance(&items[pair[0]], &items[pair[1]])).collect();
            for (item, centre) in column.iter().zip(settled(&wanted, &distances)) {
                centres[*item] = centre;
            }
        }
    }
    centres
}

/// The distance of the centres of two items, one above the other.
fn distance(one: &Item, other: &Item) -> f64 {
    f64::midpoint(one.height, other.height) + GAP
}

/// The centre of an item's neighbours, and how strongly they pull. An item without neighbours stays where it is.
fn wanted(at: usize, items: &[Item], neighbours: &[usize], centres: &[f64]) -> (f64, f64) {
    let (mut sum, mut weight) = (0.0, 0.0);
    for other in neighbours {
        let pull = if items[at].is_bend && items[*other].is_bend { STRAIGHT } else { 1.0 };
        sum += pull * centres[*other];
        weight += pull;
    }
    if weight > 0.0 { (sum / weight, weight) } else { (centres[at], 0.1) }
}

/// The centres closest to those wanted that keep the order and the distances: the least squares of the weighted
/// differences, by isotonic regression (pool adjacent violators).
fn settled(wanted: &[(f64, f64)], distances: &[f64]) -> Vec<f64> {
    // Relative to a column without free space, the centres have to be ascending.
    let mut offsets = vec![0.0; wanted.len()];
    for at in 1..wanted.len() {
        offsets[at] = offsets[at - 1] + distances[at - 1];
    }
    // Blocks of items that touch: the sum of the wanted places, the weight, and the number of items.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for ((centre, weight), offset) in wanted.iter().zip(&offsets) {
        let mut block = ((centre - offset) * weight, *weight, 1);
        while let Some(above) = blocks.pop_if(|above| above.0 / above.1 > block.0 / block.1) {
            block = (block.0 + above.0, block.1 + above.1, block.2 + above.2);
        }
        blocks.push(block);
    }
    let places = blocks.iter().flat_map(|(sum, weight, count)| std::iter::repeat_n(sum / weight, *count));
    places.zip(offsets).map(|(place, offset)| place + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_near_where_they_are_wanted() {
        assert_eq!(settled(&[(0.0, 1.0), (100.0, 1.0)], &[50.0]), [0.0, 100.0]);
        // Both want the same place: they share the way.
        assert_eq!(settled(&[(100.0, 1.0), (100.0, 1.0)], &[50.0]), [75.0, 125.0]);
        // The heavier one moves less.
        assert_eq!(settled(&[(100.0, 3.0), (100.0, 1.0)], &[40.0]), [90.0, 130.0]);
        assert_eq!(settled(&[(9.0, 1.0), (5.0, 1.0), (1.0, 1.0)], &[2.0, 2.0]), [3.0, 5.0, 7.0]);
        assert_eq!(settled(&[], &[]), [0.0; 0]);
    }
}
