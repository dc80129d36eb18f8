//! Packets: PES packets cut into those of the transport stream, their counters, and the clock (ISO/IEC 13818-1, sections
//! 2.4.3.2 to 2.4.3.7).

use std::collections::BTreeMap;

use mpeg2ts::es::StreamId;
use mpeg2ts::pes::PesHeader;
use mpeg2ts::time::{ClockReference, Timestamp};
use mpeg2ts::ts::payload::{self, Bytes};
use mpeg2ts::ts::{
    AdaptationField, ContinuityCounter, Pid, TransportScramblingControl, TsHeader, TsPacket, TsPacketWriter,
    TsPayload, WriteTsPacket as _,
};

use super::{Error, SECOND, TIME_OFFSET, Unit};

/// The longest time between two clock references (section 2.7.2).
const CLOCK_EVERY: i64 = SECOND / 10;
/// The longest gap that is filled with clock references.
const MAX_FILLED: i64 = 10 * SECOND;
/// Clock references count 27 MHz.
const CLOCK_RATIO: u64 = 300;
/// Bytes of a PES header without times, and of each of its times.
const PES_HEADER: usize = 9;
const PES_TIME: usize = 5;
/// Of the header, `PES_packet_length` counts what follows it.
const PES_UNCOUNTED: usize = 6;
/// Bytes of an adaptation field: length and flags, and a clock reference.
const ADAPTATION: usize = 2;
const ADAPTATION_CLOCK: usize = 6;

/// One unit as a PES packet.
#[derive(Debug)]
pub(super) struct Pes<'a> {
    pid: Pid,
    header: PesHeader,
    /// Zero for video that is longer than 16 bits can count.
    length: u16,
    payload: &'a [u8],
}

impl<'a> Pes<'a> {
    pub(super) fn new(
        pid: Pid,
        stream_id: StreamId,
        unit: &Unit<'_>,
        payload: &'a [u8],
    ) -> Result<Self, Error> {
        let (pts, dts) = (timestamp(unit.pts)?, timestamp(unit.dts)?);
        let header = PesHeader {
            stream_id,
            priority: false,
            data_alignment_indicator: true,
            copyright: false,
            original_or_copy: false,
            pts: Some(pts),
            dts: (dts != pts).then_some(dts),
            escr: None,
        };
        let counted = header_length(&header) - PES_UNCOUNTED + payload.len();
        // Only video is that long: `Elementary` rejects other units.
        let length = u16::try_from(counted).unwrap_or(0);
        Ok(Self { pid, header, length, payload })
    }
}

fn header_length(header: &PesHeader) -> usize {
    PES_HEADER + PES_TIME * (1 + usize::from(header.dts.is_some()))
}

/// A time in the 33 bits of the stream, which wrap around after 26.5 hours.
fn timestamp(time: i64) -> Result<Timestamp, Error> {
    Ok(Timestamp::new(wrapped(time.saturating_add(TIME_OFFSET)))?)
}

fn wrapped(time: i64) -> u64 {
    time.rem_euclid(1 << 33) as u64
}

/// Writes packets with their counters.
#[derive(Debug)]
pub(super) struct Packets {
    /// Of each PID, the counter of its next packet with a payload.
    counters: BTreeMap<Pid, ContinuityCounter>,
    clock_pid: Pid,
    /// The last clock reference in ticks of 90 kHz, before they wrap around.
    clock: Option<i64>,
}

impl Packets {
    /// The packets of `clock_pid` have the clock.
    pub(super) fn new(clock_pid: Pid) -> Self {
        Self { counters: BTreeMap::new(), clock_pid, clock: None }
    }

    /// Moves the clock on, and fills the time since its last reference with packets that have only a reference. Returns the
    /// reference for the first packet of what follows, if that `has_clock`.
    pub(super) fn advance_clock(
        &mut self,
        clock: i64,
        has_clock: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<i64>, Error> {
        let Some(mut last) = self.clock else {
            self.clock = Some(clock);
            if has_clock {
                return Ok(Some(clock));
            }
            self.write_clock(clock, out)?;
            return Ok(None);
        };
        if clock.saturating_sub(last) > MAX_FILLED {
            last = clock - CLOCK_EVERY;
        }
        while clock.saturating_sub(last) > CLOCK_EVERY {
            last += CLOCK_EVERY;
            self.write_clock(last, out)?;
        }
        let is_later = has_clock && clock > last;
        self.clock = Some(if is_later { clock } else { last });
        Ok(is_later.then_some(clock))
    }

    fn write_clock(&mut self, clock: i64, out: &mut Vec<u8>) -> Result<(), Error> {
        self.write(self.clock_pid, Some(adaptation(Some(clock), false)?), None, out)
    }

    /// Cuts a PES packet into packets of the stream. The first one has the clock reference.
    pub(super) fn write_pes(
        &mut self,
        pes: &Pes<'_>,
        clock: Option<i64>,
        random_access: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let field =
            (clock.is_some() || random_access).then(|| adaptation(clock, random_access)).transpose()?;
        let field_length =
            if field.is_some() { ADAPTATION } else { 0 } + if clock.is_some() { ADAPTATION_CLOCK } else { 0 };
        let room = Bytes::MAX_SIZE - field_length - header_length(&pes.header);
        let (first, rest) = pes.payload.split_at(room.min(pes.payload.len()));
        let start =
            payload::Pes { header: pes.header.clone(), pes_packet_len: pes.length, data: Bytes::new(first)? };
        self.write(pes.pid, field, Some(TsPayload::PesStart(start)), out)?;
        for part in rest.chunks(Bytes::MAX_SIZE) {
            self.write(pes.pid, None, Some(TsPayload::PesContinuation(Bytes::new(part)?)), out)?;
        }
        // The last packet of a unit without a length has room left, by which `whole_length` recognises it. A byte stream may
        // have zeros after its last NAL unit (annex B.1).
        if pes.length == 0 && rest.len().is_multiple_of(Bytes::MAX_SIZE) {
            self.write(pes.pid, None, Some(TsPayload::PesContinuation(Bytes::new(&[0])?)), out)?;
        }
        Ok(())
    }

    /// Writes one packet. What its payload leaves free is filled with stuffing.
    pub(super) fn write(
        &mut self,
        pid: Pid,
        adaptation_field: Option<AdaptationField>,
        payload: Option<TsPayload>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let next = self.counters.entry(pid).or_default();
        let continuity_counter = if payload.is_some() {
            let counter = *next;
            next.increment();
            counter
        } else {
            // Packets without payload repeat the counter of the one before (section 2.4.3.3).
            ContinuityCounter::from_u8(next.as_u8().wrapping_sub(1) & ContinuityCounter::MAX)?
        };
        let header = TsHeader {
            transport_error_indicator: false,
            transport_priority: false,
            pid,
            transport_scrambling_control: TransportScramblingControl::NotScrambled,
            continuity_counter,
        };
        let packet = TsPacket { header, adaptation_field, payload };
        Ok(TsPacketWriter::new(out).write_ts_packet(&packet)?)
    }
}

fn adaptation(clock: Option<i64>, random_access_indicator: bool) -> Result<AdaptationField, Error> {
    Ok(AdaptationField {
        discontinuity_indicator: false,
        random_access_indicator,
        es_priority_indicator: false,
        pcr: clock.map(|clock| ClockReference::new(wrapped(clock) * CLOCK_RATIO)).transpose()?,
        opcr: None,
        splice_countdown: None,
        transport_private_data: Vec::new(),
        extension: None,
    })
}
