//! One job, from the first frame to the last.
//!
//! The gateway keeps its writing half open for as long as it wants the answer. When that half ends,
//! for whatever reason, the job is cancelled: dropping the [`Generation`] frees its slot.

use std::{io, pin::pin};

use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use starling_inference::Generation;
use starling_protocol::{
    frame::{self, FrameError},
    limits::{ADMISSION_TIMEOUT, FIRST_FRAME_TIMEOUT, MAX_REQUEST_FRAME},
    message::{JobEvent, JobFailure, JobOpening, JobRequest, Refusal, Task},
    swarm::{InboundStream, Stream},
};
use tokio::time::timeout;
use tracing::{Span, debug, field};

use crate::{Stops, convert, engines::Models};

pub(crate) async fn serve(inbound: InboundStream, models: Models, stops: Stops) {
    let InboundStream { peer, mut stream } = inbound;
    Span::current().record("gateway", field::display(peer));
    let answer = async {
        let Some(request) = read_request(&mut stream).await? else { return Ok(()) };
        Span::current().record("id", field::display(request.job));
        match admit(request, &models, &stops).await {
            Ok(generation) => answer(stream, generation, &stops).await,
            Err(refusal) => {
                debug!(%refusal, "refused");
                frame::write(&mut stream, &JobEvent::Refused(refusal)).await?;
                stream.close().await
            }
        }
    };
    if let Err(error) = answer.await {
        debug!(%error, "the stream broke");
    }
}

/// The request; none when what came is not one, which the peer is told.
async fn read_request(stream: &mut Stream) -> io::Result<Option<JobRequest>> {
    let read = frame::read::<JobOpening>(stream, MAX_REQUEST_FRAME);
    let refusal = match timeout(FIRST_FRAME_TIMEOUT, read).await {
        Ok(Ok(opening)) => match (opening.validate(), opening) {
            (Ok(()), JobOpening::Begin(request)) => return Ok(Some(request)),
            (Ok(()), JobOpening::Resume(_)) => Refusal::NotHere,
            (Err(invalid), _) => Refusal::Invalid { field: invalid.field.to_owned(), reason: invalid.reason },
        },
        Ok(Err(FrameError::Io(error))) => return Err(error),
        Ok(Err(error)) => Refusal::Invalid { field: "request".to_owned(), reason: error.to_string() },
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    frame::write(stream, &JobEvent::Refused(refusal)).await?;
    stream.close().await?;
    Ok(None)
}

async fn admit(request: JobRequest, models: &Models, stops: &Stops) -> Result<Generation, Refusal> {
    if stops.accepting.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let model = models.iter().find(|model| model.id == request.model).ok_or(Refusal::UnknownModel)?;
    let admitted = async {
        match request.task {
            Task::Chat(chat) => model.engine.generate(convert::request(chat)).await,
            Task::Embed(texts) => model.engine.embed(texts.into_iter().map(|text| text.0).collect()).await,
        }
    };
    // An engine that hangs admits nobody; to the gateway that is a busy node.
    timeout(ADMISSION_TIMEOUT, admitted).await.map_err(|_| Refusal::Busy)?.map_err(convert::refusal)
}

async fn answer(stream: Stream, mut generation: Generation, stops: &Stops) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut gone = pin!(reader_gone(reader));
    let mut seq = 0;
    loop {
        let output = tokio::select! {
            output = generation.next() => output,
            () = &mut gone => {
                debug!("cancelled by the gateway");
                return Ok(());
            }
            () = stops.jobs.cancelled() => {
                frame::write(&mut writer, &JobEvent::Failed(JobFailure::Stopping)).await?;
                return writer.close().await;
            }
        };
        let Some(output) = output else { return writer.close().await };
        frame::write(&mut writer, &convert::event(output, &mut seq)).await?;
    }
}

/// Ends when the other side has closed or broken its half. Anything it says meanwhile is not in the
/// protocol, and ends it as well.
async fn reader_gone(mut reader: impl AsyncRead + Unpin) {
    let _ = reader.read(&mut [0]).await;
}
