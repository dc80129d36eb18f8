//! Reads the tables of a track (`stbl`, ISO/IEC 14496-12, 8.5 to 8.7). What they claim to have is bounded by their bytes and by
//! the length of the file.

use super::super::boxes::{child, children, u32_at, u64_at};
use super::{MAX_SIZES, SampleInfo, SampleTables, Sizes, extend};

/// Bytes of a table before its entries: version, flags and the number of entries.
const TABLE: usize = 8;

impl SampleTables {
    /// The tables in the content of an `stbl` box of a file of `length` bytes, and what is wrong with them. Samples that not
    /// all tables describe are left out.
    pub(in crate::mp4) fn read(stbl: &[u8], length: u64) -> (Self, Vec<String>) {
        let mut faults = Vec::new();
        let (count, sizes) = read_sizes(stbl, length, &mut faults);
        let mut tables = Self { sizes, ..Self::default() };

        let chunks = read_chunks(stbl, count);
        let placed = chunks.iter().map(|(_, samples)| samples).sum();
        let timed = entries(stbl, *b"stts", 8)
            .fold(0_u32, |timed, entry| timed.saturating_add(u32_at(entry, 0).unwrap_or(0)));
        tables.count = count.min(placed).min(timed);
        if tables.count < count {
            faults.push(format!(
                "it has {count} samples, of which {placed} have a place and {timed} have a time"
            ));
        }
        tables.set_chunks(chunks);
        tables.set_times(stbl);
        tables.set_keys(stbl);
        if let Sizes::Different(sizes) = &mut tables.sizes {
            sizes.truncate(tables.count as usize);
        }
        (tables, faults)
    }

    fn set_chunks(&mut self, mut chunks: Vec<(u64, u32)>) {
        let mut left = self.count;
        chunks.retain_mut(|(_, samples)| {
            *samples = (*samples).min(left);
            left -= *samples;
            *samples > 0
        });
        self.chunks = chunks;
    }

    fn set_times(&mut self, stbl: &[u8]) {
        let runs = |kind| entries(stbl, kind, 8).filter_map(|run| Some((u32_at(run, 0)?, u32_at(run, 4)?)));
        self.durations = clipped(runs(*b"stts"), self.count);
        self.duration = sum(&self.durations);
        // Version 0 has no sign, but many programs write one.
        let offsets = runs(*b"ctts").map(|(count, offset)| (count, offset.cast_signed()));
        self.offsets = clipped(offsets.chain([(self.count, 0)]), self.count);
    }

    fn set_keys(&mut self, stbl: &[u8]) {
        if child(stbl, *b"stss").is_none() {
            extend(&mut self.keys, self.count, true);
            return;
        }
        let mut described = 0;
        for number in entries(stbl, *b"stss", 4).filter_map(|entry| u32_at(entry, 0)) {
            if number <= described || number > self.count {
                continue;
            }
            extend(&mut self.keys, number - 1 - described, false);
            extend(&mut self.keys, 1, true);
            described = number;
        }
        extend(&mut self.keys, self.count - described, false);
    }

    /// The samples in decoding order, each with its place in the file.
    pub fn placed(&self) -> impl Iterator<Item = (u64, SampleInfo)> + '_ {
        let mut chunks = self.chunks.iter();
        let (mut place, mut left) = (0_u64, 0);
        self.samples().map(move |sample| {
            while left == 0 {
                let Some((start, samples)) = chunks.next() else { break };
                (place, left) = (*start, *samples);
            }
            left = left.saturating_sub(1);
            let at = place;
            place = place.saturating_add(sample.size.into());
            (at, sample)
        })
    }

    /// The run lengths of durations, in ticks.
    pub fn durations(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.durations.iter().copied()
    }

    /// Where the last picture ends that is shown, in ticks from the decoding time of the first sample.
    pub(in crate::mp4) fn composition_end(&self) -> u64 {
        match self.offsets[..] {
            [] => 0,
            [(_, offset)] => self.duration.saturating_add_signed(offset.into()),
            _ => {
                let (mut time, mut last) = (0_u64, 0);
                for sample in self.samples() {
                    let shown = time.saturating_add_signed(sample.composition_offset.into());
                    last = shown.saturating_add(sample.duration.into()).max(last);
                    time = time.saturating_add(sample.duration.into());
                }
                last
            }
        }
    }

    /// The number of samples before the first one that is not whole in a file of `length` bytes.
    pub(in crate::mp4) fn whole_within(&self, length: u64) -> u32 {
        let Sizes::Equal(size) = &self.sizes else {
            let is_whole = |(place, sample): &(u64, SampleInfo)| {
                place.checked_add(sample.size.into()).is_some_and(|end| end <= length)
            };
            return self.placed().take_while(is_whole).count() as u32;
        };
        let mut whole = 0_u32;
        for (start, samples) in &self.chunks {
            let fits = length.saturating_sub(*start).checked_div(u64::from(*size)).unwrap_or(u64::MAX);
            let fits = if *start > length { 0 } else { fits.min((*samples).into()) as u32 };
            whole += fits;
            if fits < *samples {
                break;
            }
        }
        whole
    }

    /// Whether a chunk begins before this place.
    pub(in crate::mp4) fn starts_before(&self, place: u64) -> bool {
        self.chunks.iter().any(|(start, _)| *start < place)
    }

    /// The tables of the first `count` samples.
    pub(in crate::mp4) fn first(&self, count: u32) -> Self {
        let mut kept = Self { count: count.min(self.count), ..Self::default() };
        kept.set_chunks(self.chunks.clone());
        kept.durations = clipped(self.durations.iter().copied(), kept.count);
        kept.duration = sum(&kept.durations);
        kept.offsets = clipped(self.offsets.iter().copied(), kept.count);
        kept.keys = clipped(self.keys.iter().copied(), kept.count);
        kept.sizes = match &self.sizes {
            Sizes::Equal(size) => Sizes::Equal(*size),
            Sizes::Different(sizes) => Sizes::Different(sizes[..kept.count as usize].to_vec()),
        };
        kept
    }
}

/// The first `count` values of run lengths.
fn clipped<T: PartialEq>(runs: impl Iterator<Item = (u32, T)>, count: u32) -> Vec<(u32, T)> {
    let (mut left, mut clipped) = (count, Vec::new());
    for (run, value) in runs {
        let run = run.min(left);
        left -= run;
        extend(&mut clipped, run, value);
    }
    clipped
}

/// The sum of durations.
fn sum(durations: &[(u32, u32)]) -> u64 {
    let times = durations.iter().map(|&(count, duration)| u64::from(count) * u64::from(duration));
    times.fold(0, u64::saturating_add)
}

/// The entries of a table, each of `bytes` bytes: as many as it claims to have and has.
fn entries(stbl: &[u8], kind: [u8; 4], bytes: usize) -> impl Iterator<Item = &[u8]> {
    let table = child(stbl, kind).unwrap_or_default();
    let count = u32_at(table, 4).unwrap_or(0) as usize;
    table.get(TABLE..).unwrap_or_default().chunks_exact(bytes).take(count)
}

/// The number of samples and their sizes (`stsz` and `stz2`, 8.7.3).
fn read_sizes(stbl: &[u8], length: u64, faults: &mut Vec<String>) -> (u32, Sizes) {
    let found = children(stbl).find(|(kind, _)| matches!(kind, b"stsz" | b"stz2"));
    let Some((kind, table)) = found else { return (0, Sizes::default()) };
    let (Some(field), Some(count)) = (u32_at(table, 4), u32_at(table, 8)) else {
        return (0, Sizes::default());
    };
    let described = table.get(12..).unwrap_or_default();
    let most = count.min(MAX_SIZES) as usize;
    let sizes: Vec<u32> = match (&kind, field) {
        (b"stsz", 1..) => {
            let fit = u32::try_from(length / u64::from(field)).unwrap_or(u32::MAX);
            if count > fit {
                faults.push(format!("its {count} samples of {field} bytes are more than the file has"));
            }
            return (count.min(fit), Sizes::Equal(field));
        }
        (b"stz2", 4) => {
            (described.iter().flat_map(|two| [two >> 4, two & 15])).map(u32::from).take(most).collect()
        }
        (b"stz2", 8) => described.iter().map(|size| (*size).into()).take(most).collect(),
        (b"stz2", 16) => (described.chunks_exact(2))
            .map(|size| u32::from(size[0]) << 8 | u32::from(size[1]))
            .take(most)
            .collect(),
        (b"stsz", 0) => (described.chunks_exact(4)).filter_map(|size| u32_at(size, 0)).take(most).collect(),
        _ => vec![],
    };
    let read = sizes.len() as u32;
    if read < count {
        faults.push(format!("it claims {count} samples and has the sizes of {read}"));
    }
    match sizes.first() {
        Some(first) if sizes.iter().all(|size| size == first) => (read, Sizes::Equal(*first)),
        Some(_) => (read, Sizes::Different(sizes)),
        None => (0, Sizes::default()),
    }
}

/// Where each chunk begins, and the number of its samples (`stsc`, `stco` and `co64`, 8.7.4 and 8.7.5), up to `count` samples.
fn read_chunks(stbl: &[u8], count: u32) -> Vec<(u64, u32)> {
    let is_long = child(stbl, *b"stco").is_none();
    let (kind, bytes) = if is_long { (*b"co64", 8) } else { (*b"stco", 4) };
    let place = |entry| if is_long { u64_at(entry, 0) } else { u32_at(entry, 0).map(u64::from) };
    let mut runs = entries(stbl, *b"stsc", 12)
        .filter_map(|entry| Some((u32_at(entry, 0)?, u32_at(entry, 4)?)))
        .peekable();
    let (mut chunks, mut samples, mut left) = (Vec::new(), 0, count);
    for (number, start) in (1..).zip(entries(stbl, kind, bytes).filter_map(place)) {
        while let Some((_, of_chunk)) = runs.next_if(|(first, _)| *first <= number) {
            samples = of_chunk;
        }
        let samples = samples.min(left);
        if samples > 0 {
            chunks.push((start, samples));
        }
        left -= samples;
        if left == 0 {
            break;
        }
    }
    chunks
}
