use sky_types::{Generate, GenerateError, Reply, Request};

use crate::SampleError;

/// Generates the missing replies and gives each of them to `on_reply` once.
///
/// When the replies of a batch depend on each other, requests are cut into fixed groups. A group
/// that lacks a reply is generated as a whole, in its own call, so that its replies are those of an
/// uninterrupted run. Replies that were present before go to `on_repeated` instead.
pub(crate) fn generate_missing(
    generate: &mut dyn Generate,
    present: &[bool],
    request: &dyn Fn(usize) -> Request,
    on_reply: &mut dyn FnMut(usize, Reply) -> Result<(), SampleError>,
    on_repeated: &mut dyn FnMut(usize, &Reply),
) -> Result<(), SampleError> {
    let missing = |at: &usize| !present[*at];
    match generate.group_size() {
        None => {
            let wanted: Vec<usize> = (0..present.len()).filter(missing).collect();
            call(generate, &wanted, present, request, on_reply, on_repeated)
        }
        Some(size) => {
            let size = size.max(1);
            for start in (0..present.len()).step_by(size) {
                let group: Vec<usize> = (start..present.len().min(start + size)).collect();
                if group.iter().any(missing) {
                    call(generate, &group, present, request, on_reply, on_repeated)?;
                }
            }
            Ok(())
        }
    }
}

fn call(
    generate: &mut dyn Generate,
    wanted: &[usize],
    present: &[bool],
    request: &dyn Fn(usize) -> Request,
    on_reply: &mut dyn FnMut(usize, Reply) -> Result<(), SampleError>,
    on_repeated: &mut dyn FnMut(usize, &Reply),
) -> Result<(), SampleError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let model = generate.model().to_owned();
    let broken = |reason: String| SampleError::Protocol {
        model: model.clone(),
        reason,
    };
    let mut requests = wanted.iter().map(|&at| Request {
        key: at as u64,
        ..request(at)
    });
    let mut answered = vec![false; wanted.len()];
    let mut sink = |reply: Reply| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let at = usize::try_from(reply.key).unwrap_or(usize::MAX);
        let Ok(place) = wanted.binary_search(&at) else {
            return Err(broken(format!("a reply to request {at}, which nobody made")).into());
        };
        if std::mem::replace(&mut answered[place], true) {
            return Err(broken(format!("two replies to request {at}")).into());
        }
        if present[at] {
            on_repeated(at, &reply);
        } else {
            on_reply(at, reply)?;
        }
        Ok(())
    };
    generate
        .generate(&mut requests, &mut sink)
        .map_err(|error| match error {
            GenerateError::Sink(source) => match source.downcast::<SampleError>() {
                Ok(ours) => *ours,
                Err(source) => SampleError::Generate(GenerateError::Sink(source)),
            },
            error => SampleError::Generate(error),
        })?;
    match answered.iter().filter(|answered| !**answered).count() {
        0 => Ok(()),
        left => Err(broken(format!("ended with {left} requests unanswered"))),
    }
}
