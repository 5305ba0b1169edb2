//! The calls of `@SOCKET` about topics.

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString};
use serde_json::{Value as Json, json};

use super::socket::{SocketMacro, check_gateway, name, payload_of, triggering};
use crate::broker::{Action, Publication, Target};
use crate::error::{ErrorCode, Failure};
use crate::filter::{AnyField, Filter};
use crate::id::new_id;
use crate::script::failure::raise;
use crate::script::memory::uncounted;
use crate::script::outside::to_filter;
use crate::script::run::{self, host, with_run};
use crate::store::time_text;

/// Bytes of a filter as JSON, at most: each event of its topic looks at it.
const FILTER_BYTES_MAX: usize = 4096;

type Outcome<T = ()> = Result<T, Box<EvalAltResult>>;
type Text = ImmutableString;

/// Registers the calls.
pub(crate) fn register(engine: &mut Engine) {
    engine
        .register_fn("subscribe", |_: &mut SocketMacro, topic: Dynamic| subscribe(&topic, &Dynamic::UNIT))
        .register_fn("subscribe", |_: &mut SocketMacro, topic: Dynamic, filter: Dynamic| {
            subscribe(&topic, &filter)
        })
        .register_fn("unsubscribe", |_: &mut SocketMacro, id: Text| -> Outcome<bool> {
            let (socket, _) = triggering("unsubscribe")?;
            uncounted(|| {
                host().note("unsubscribe", &|| vec![json!(&*id)]);
                Ok(id.parse().is_ok_and(|id| socket.unsubscribe(id)))
            })
        })
        .register_fn("publish", |_: &mut SocketMacro, topic: Dynamic, data: Dynamic| -> Outcome {
            let own = with_run(|run| run.origin.gateway().filter(|_| run.hook_depth == 0).cloned());
            let topic = topic_name(&topic)?;
            let target = Target::Topic { gateway: own, topic: (&*topic).into() };
            publish(target, &|| vec![json!(&*topic)], &data)
        })
        .register_fn(
            "publish",
            |_: &mut SocketMacro, path: Text, topic: Dynamic, data: Dynamic| -> Outcome {
                let topic = topic_name(&topic)?;
                check_gateway(&path)?;
                let target = Target::Topic { gateway: Some((&*path).into()), topic: (&*topic).into() };
                publish(target, &|| vec![json!(&*path), json!(&*topic)], &data)
            },
        );
}

fn subscribe(topic: &Dynamic, filter: &Dynamic) -> Outcome<String> {
    let (socket, _) = triggering("subscribe")?;
    let topic = topic_name(topic)?;
    let id = uncounted(|| {
        let written = if filter.is_unit() { None } else { Some(to_filter(filter)?) };
        let filter = written.as_ref().map_or_else(|| Ok(Filter::all()), parsed)?;
        host().note("subscribe", &|| std::iter::once(json!(&*topic)).chain(written.clone()).collect());
        let id = new_id();
        socket.subscribe(id, &topic, filter).map_err(raise)?;
        Ok::<_, Box<EvalAltResult>>(id)
    })?;
    Ok(id.to_string())
}

fn parsed(filter: &Json) -> Outcome<Filter> {
    if filter.to_string().len() > FILTER_BYTES_MAX {
        let message = format!("the filter of a subscription has at most {FILTER_BYTES_MAX} bytes");
        return Err(raise(Failure::new(ErrorCode::Validation, message)));
    }
    Filter::parse(filter, &AnyField).map_err(|error| raise(error.into_failure()))
}

fn publish(target: Target, args: &dyn Fn() -> Vec<Json>, data: &Dynamic) -> Outcome {
    let (host, data) = payload_of("publish", args, data)?;
    let now = run::now();
    uncounted(|| {
        let action = Action::Event { data, timestamp: time_text(now).into() };
        host.publish(Publication { target, action })
    })
    .map_err(raise)
}

fn topic_name(topic: &Dynamic) -> Outcome<Text> {
    name("a topic", topic)
}
