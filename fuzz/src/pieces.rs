//! A stream of bytes that comes in pieces: however it is cut, it must mean the same.
//!
//! An input begins with its cuts: a byte that counts them (its low three bits, so that a digit counts
//! itself), then two bytes for each; all else is the stream.

use std::fmt::Debug;

/// What comes of a stream: after how many bytes, and what. A last outcome, which is a fault, may come at any
/// place where it can be known.
type Outcomes<T> = Vec<(Option<usize>, T)>;

/// Reads a stream whole, cut as the input says, and byte by byte. Gives what came of it, which is the same
/// each time.
///
/// `reader` makes a reader, which takes bytes and says how many it used and what came of them; `is_last`
/// tells whether nothing may be read after that.
pub fn read_in_all_ways<T: Debug + PartialEq, R: FnMut(&[u8]) -> (usize, Option<T>)>(
    input: &[u8],
    mut reader: impl FnMut() -> R,
    is_last: impl Fn(&T) -> bool,
) -> Outcomes<T> {
    let (cuts, stream) = split(input);
    let whole = read(stream, &[], reader(), &is_last);
    let cut = read(stream, &cuts, reader(), &is_last);
    assert_eq!(whole, cut, "whole, and cut at {cuts:?}");
    let every_byte: Vec<usize> = (1..stream.len()).collect();
    let byte_by_byte = read(stream, &every_byte, reader(), &is_last);
    assert_eq!(whole, byte_by_byte, "whole, and byte by byte");
    whole
}

/// The cuts of an input, in order, and its stream.
fn split(input: &[u8]) -> (Vec<usize>, &[u8]) {
    let Some((&count, rest)) = input.split_first() else { return (Vec::new(), input) };
    let (places, stream) = rest.split_at(rest.len().min(2 * usize::from(count & 7)));
    let place = |bytes: &[u8; 2]| usize::from(u16::from_be_bytes(*bytes)) % (stream.len() + 1);
    let mut cuts: Vec<usize> = places.as_chunks().0.iter().map(place).collect();
    cuts.sort_unstable();
    (cuts, stream)
}

fn read<T>(
    stream: &[u8],
    cuts: &[usize],
    mut reader: impl FnMut(&[u8]) -> (usize, Option<T>),
    is_last: impl Fn(&T) -> bool,
) -> Outcomes<T> {
    let mut outcomes = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        while from < to {
            let (used, outcome) = reader(&stream[from..to]);
            assert!(used > 0, "a reader goes on");
            from += used;
            assert!(from <= to, "nothing is used that is not there");
            match outcome {
                Some(outcome) if is_last(&outcome) => {
                    outcomes.push((None, outcome));
                    return outcomes;
                }
                Some(outcome) => outcomes.push((Some(from), outcome)),
                None => assert_eq!(from, to, "all is used where nothing comes of it"),
            }
        }
    }
    outcomes
}
