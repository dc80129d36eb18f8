//! The descriptor of a track of MPEG-4: the `esds` box (ISO/IEC 14496-14, 3.1.2).

use shiguredo_mp4::Uint;
use shiguredo_mp4::boxes::EsdsBox;
use shiguredo_mp4::descriptors::{
    DecoderConfigDescriptor, DecoderSpecificInfo, EsDescriptor, SlConfigDescriptor,
};

/// A kind of stream: its `objectTypeIndication` and its `streamType` (ISO/IEC 14496-1, tables 5 and 6).
#[derive(Clone, Copy)]
pub(super) struct StreamKind {
    object_type: u8,
    stream_type: u8,
}

/// AAC.
pub(super) const MPEG4_AUDIO: StreamKind = StreamKind { object_type: 0x40, stream_type: 5 };
/// JPEG.
pub(super) const JPEG: StreamKind = StreamKind { object_type: 0x6c, stream_type: 4 };

/// The box of a track, with what its decoder needs first.
pub(super) fn esds(kind: StreamKind, config: Option<Vec<u8>>) -> EsdsBox {
    let es = EsDescriptor {
        // 0 in files (ISO/IEC 14496-14, 3.1.2).
        es_id: 0,
        stream_priority: Uint::new(0),
        depends_on_es_id: None,
        url_string: None,
        ocr_es_id: None,
        dec_config_descr: DecoderConfigDescriptor {
            object_type_indication: kind.object_type,
            stream_type: Uint::new(kind.stream_type),
            up_stream: Uint::new(0),
            buffer_size_db: Uint::new(0),
            max_bitrate: 0,
            avg_bitrate: 0,
            dec_specific_info: config.map(|payload| DecoderSpecificInfo { payload }),
        },
        sl_config_descr: SlConfigDescriptor,
    };
    EsdsBox { es }
}
