#![allow(clippy::indexing_slicing)]
use super::*;

#[test]
fn a_request_is_padded_nested_and_counted() {
    let bytes = Request::new(16, 0x400, &[0xaa; 16])
        .attr_text(3, "br0")
        .nest(18, |info| info.attr(1, b"bridge").nest(2, |data| data.attr_u32(5, 0).attr_u8(23, 0)))
        .finish(7, 5)
        .unwrap_or_default();
    let expected: Vec<u8> = [
        &76u32.to_ne_bytes()[..],
        &16u16.to_ne_bytes(),
        &0x405u16.to_ne_bytes(),
        &7u32.to_ne_bytes(),
        &[0; 4],
        &[0xaa; 16],
        &8u16.to_ne_bytes(),
        &3u16.to_ne_bytes(),
        b"br0\0",
        &36u16.to_ne_bytes(),
        &0x8012u16.to_ne_bytes(),
        &10u16.to_ne_bytes(),
        &1u16.to_ne_bytes(),
        b"bridge\0\0",
        &20u16.to_ne_bytes(),
        &0x8002u16.to_ne_bytes(),
        &8u16.to_ne_bytes(),
        &5u16.to_ne_bytes(),
        &[0; 4],
        &5u16.to_ne_bytes(),
        &23u16.to_ne_bytes(),
        &[0; 4],
    ]
    .concat();
    assert_eq!(bytes, expected);
}

#[test]
fn the_first_error_is_kept() {
    let request = Request::new(16, 0, &[]).nest(1, |inner| inner.attr(2, &[0; 65_536])).attr_u8(3, 0);
    assert_eq!(request.finish(1, 0), Err(Malformed("an attribute of more than 65,535 bytes")));
}

#[test]
fn what_was_written_is_read() {
    let bytes = Request::new(9, 2, &[1, 2, 3, 4]).attr_u32(1, 42).attr_text(2, "x").finish(5, 0).unwrap_or_default();
    let read: Vec<_> = messages(&bytes).collect();
    assert_eq!(read.len(), 1);
    let Some(Ok(message)) = read.first() else { panic!("no message in {read:?}") };
    assert_eq!((message.kind, message.flags, message.sequence), (9, 2, 5));
    let Ok((header, mut attributes)) = message.split::<4>() else { panic!("no header") };
    assert_eq!(header, &[1, 2, 3, 4]);
    assert_eq!(attributes.next().map(|a| a.and_then(|a| a.u32())), Some(Ok(42)));
    assert_eq!(attributes.next().map(|a| a.map(|a| a.text())), Some(Ok(&b"x"[..])));
    assert_eq!(attributes.next(), None);
}

#[test]
fn every_cut_of_a_datagram_is_an_error_and_ends() {
    let bytes = Request::new(9, 2, &[1, 2, 3, 4]).attr_u32(1, 42).finish(5, 0).unwrap_or_default();
    for length in 1..bytes.len() {
        let read: Vec<_> = messages(&bytes[..length]).collect();
        assert_eq!(read, [Err(Malformed("a message that ends early"))], "cut at {length}");
    }
}

#[test]
fn lengths_that_lie_are_errors_and_end() {
    for length in [0u16, 1, 3, 9, 0xffff] {
        let bytes = [&length.to_ne_bytes()[..], &[1, 0, 9, 9, 9, 9]].concat();
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read, [Err(Malformed("an attribute that ends early"))], "length {length}");
    }
    for length in [0u32, 15, 0xffff_ffff] {
        let bytes = [&length.to_ne_bytes()[..], &[0; 28]].concat();
        assert_eq!(messages(&bytes).next(), Some(Err(Malformed("a message that ends early"))), "length {length}");
    }
}

#[test]
fn the_flags_of_an_attribute_are_no_part_of_its_type() {
    for flags in [0, 0x4000, 0x8000, 0xc000] {
        let bytes = [6u16.to_ne_bytes(), (18u16 | flags).to_ne_bytes(), [7, 0], [0; 2]].concat();
        let kinds: Vec<_> = attributes(&bytes).map(|attribute| attribute.map(|attribute| attribute.kind)).collect();
        assert_eq!(kinds, [Ok(18)]);
    }
}
