//! Binary data as it came with an event: a value that a script passes on without looking into it, of any
//! size that its payload may have. Rhai counts the bytes of its own blobs as elements of an array, so a
//! larger one could not even be touched.

use std::sync::Arc;

use rhai::{Blob, Dynamic, Engine, EvalAltResult};

use super::failure::raise;
use crate::error::{ErrorCode, Failure};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// One attachment; copies are the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attachment(Arc<Vec<u8>>);

impl Attachment {
    /// A value that stands for these bytes.
    pub(super) fn value(bytes: &Arc<Vec<u8>>) -> Dynamic {
        Dynamic::from(Self(bytes.clone()))
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &Arc<Vec<u8>> {
        &self.0
    }
}

/// Registers what a script can ask of one.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Attachment>("blob")
        .register_fn("len", |of: &mut Attachment| of.0.len() as i64)
        .register_fn("is_empty", |of: &mut Attachment| of.0.is_empty())
        .register_fn("toBlob", |of: &mut Attachment| -> Blob { of.0.to_vec() })
        .register_fn("toBlob", |of: Blob| of)
        .register_fn("toText", |of: &mut Attachment| text(&of.0))
        .register_fn("toText", |of: &mut Blob| text(of))
        .register_fn("to_string", |of: &mut Attachment| printed(of))
        .register_fn("to_debug", |of: &mut Attachment| printed(of))
        .register_fn("==", |one: Attachment, other: Attachment| one == other)
        .register_fn("!=", |one: Attachment, other: Attachment| one != other)
        .register_indexer_get(|of: &mut Attachment, index: i64| -> Outcome<i64> {
            let place = usize::try_from(index).ok().and_then(|index| of.0.get(index));
            place.map(|byte| i64::from(*byte)).ok_or_else(|| {
                EvalAltResult::ErrorArrayBounds(of.0.len(), index, rhai::Position::NONE).into()
            })
        });
}

fn text(bytes: &[u8]) -> Outcome<String> {
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| raise(Failure::new(ErrorCode::Validation, "These bytes are no text in UTF-8")))
}

fn printed(of: &Attachment) -> String {
    format!("blob of {} bytes", of.0.len())
}
