//! Orders the items of each column so that few edges cross, by the barycentre method.

use super::columns::Neighbours;

/// The number of passes over the columns, to and fro.
const SWEEPS: usize = 16;

/// Reorders the items of each column.
pub(super) fn reduce_crossings(columns: &mut Vec<Vec<usize>>, neighbours: &Neighbours) {
    let mut positions = vec![0; neighbours.left.len()];
    let mut fewest = crossings(columns, neighbours, &mut positions);
    let mut best = columns.clone();
    for sweep in 0..SWEEPS {
        if fewest == 0 {
            break;
        }
        let leads_right = sweep % 2 == 0;
        let others = if leads_right { &neighbours.left } else { &neighbours.right };
        for step in 0..columns.len() {
            let at = if leads_right { step } else { columns.len() - 1 - step };
            sort(&mut columns[at], others, &positions);
            note(&columns[at], &mut positions);
        }
        let count = crossings(columns, neighbours, &mut positions);
        if count < fewest {
            (fewest, best) = (count, columns.clone());
        }
    }
    *columns = best;
}

/// Sorts the items of a column by the mean position of their neighbours. An item without neighbours stays where it is.
fn sort(column: &mut [usize], others: &[Vec<usize>], positions: &[usize]) {
    let mean = |item: &usize| {
        let others = &others[*item];
        let sum: usize = others.iter().map(|other| positions[*other]).sum();
        if others.is_empty() { positions[*item] as f64 } else { sum as f64 / others.len() as f64 }
    };
    column.sort_by(|one, other| mean(one).total_cmp(&mean(other)));
}

fn note(column: &[usize], positions: &mut [usize]) {
    for (position, item) in column.iter().enumerate() {
        positions[*item] = position;
    }
}

/// The number of crossings of all edges, and the positions of all items.
fn crossings(columns: &[Vec<usize>], neighbours: &Neighbours, positions: &mut [usize]) -> usize {
    columns.iter().for_each(|column| note(column, positions));
    let between = columns.iter().map(|column| {
        let mut seen: Vec<usize> = Vec::new();
        let mut count = 0;
        for item in column {
            let ends = neighbours.right[*item].iter().map(|other| positions[*other]);
            let ends: Vec<usize> = ends.collect();
            // An edge crosses those that begin above it and end below it.
            count += ends.iter().map(|end| seen.iter().filter(|other| *other > end).count()).sum::<usize>();
            seen.extend(ends);
        }
        count
    });
    between.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_that_need_not_cross_do_not_cross() {
        // Items 0 to 2 lead to items 5, 4 and 3, and these to items 6 to 8.
        let mut neighbours = Neighbours { left: vec![Vec::new(); 9], right: vec![Vec::new(); 9] };
        for (from, to) in [(0, 5), (1, 4), (2, 3), (3, 7), (4, 8), (5, 6)] {
            neighbours.right[from].push(to);
            neighbours.left[to].push(from);
        }
        let mut columns = vec![vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8]];
        let mut positions = vec![0; 9];
        assert_eq!(crossings(&columns, &neighbours, &mut positions), 3 + 2);
        reduce_crossings(&mut columns, &neighbours);
        assert_eq!(crossings(&columns, &neighbours, &mut positions), 0, "{columns:?}");
    }
}
