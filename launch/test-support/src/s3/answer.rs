//! What a request is answered, by the fault that applies to it or by the real server.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use s3s::service::S3Service;
use tokio::time::Instant;

use super::{Fault, Log, Seen};

#[derive(Debug, thiserror::Error)]
#[error("the connection breaks, as told")]
pub(super) struct Broken;

pub(super) async fn answer(
    request: Request<Incoming>,
    service: S3Service,
    log: Arc<Mutex<Log>>,
    root: PathBuf,
) -> Result<Response<s3s::Body>, Broken> {
    let seen = Seen {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request.headers().clone(),
        at: Instant::now(),
    };
    let fault = {
        let mut log = log.lock().unwrap();
        let rule = log.rules.iter_mut().find(|rule| rule.times > 0 && (rule.applies)(&seen));
        let fault = rule.map(|rule| {
            rule.times -= 1;
            rule.fault.clone()
        });
        log.seen.push(seen);
        fault
    };
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let signed = |header: &str| head.headers.get(header).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match &fault {
        Some(Fault::BreakAfter(bytes)) => {
            let mut read = 0;
            while read < *bytes
                && let Some(Ok(frame)) = body.frame().await
            {
                read += frame.data_ref().map_or(0, Bytes::len);
            }
            return Err(Broken);
        }
        Some(Fault::Stall) => std::future::pending::<()>().await,
        Some(Fault::Answer(status, code)) => {
            let _ = body.collect().await;
            return Ok(error(*status, code).header("retry-after", "0").body(text(code)).unwrap());
        }
        Some(Fault::Busy(asked)) => {
            let _ = body.collect().await;
            let code = "TooManyRequests";
            return Ok(error(429, code).header("retry-after", *asked).body(text(code)).unwrap());
        }
        Some(Fault::Portal) => {
            let _ = body.collect().await;
            return Ok(Response::new(s3s::Body::from("<html>Please pay</html>".to_owned())));
        }
        Some(Fault::Clock(ahead)) if !in_time(signed("x-amz-date"), *ahead) => {
            let _ = body.collect().await;
            let code = "RequestTimeTooSkewed";
            return Ok(error(403, code).header("date", date(*ahead)).body(text(code)).unwrap());
        }
        Some(Fault::Region(region)) if !signed("authorization").contains(&format!("/{region}/s3/")) => {
            let _ = body.collect().await;
            let code = "PermanentRedirect";
            return Ok(error(301, code).header("x-amz-bucket-region", *region).body(text(code)).unwrap());
        }
        _ => {}
    }
    if let Some(Fault::Drip(rate)) = fault {
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(|_| Broken)?.into_data().unwrap_or_default();
            tokio::time::sleep(Duration::from_secs_f64(data.len() as f64 / rate as f64)).await;
            read.extend_from_slice(&data);
        }
        let request = Request::from_parts(head, s3s::Body::from(Bytes::from(read)));
        return service.call(request).await.map_err(|_| Broken);
    }
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let request = Request::from_parts(head, s3s::Body::from(body));
    let mut answer = service.call(request).await.map_err(|_| Broken)?;
    match fault {
        Some(Fault::LoseAnswer) => return Err(Broken),
        Some(Fault::StoreAndStall) => std::future::pending::<()>().await,
        Some(Fault::Etag(etag)) => {
            answer.headers_mut().insert("etag", etag.parse().unwrap());
        }
        Some(Fault::NoEtag) => drop(answer.headers_mut().remove("etag")),
        Some(Fault::Tear(bytes)) => {
            let key = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap();
            let object = std::fs::OpenOptions::new().write(true).open(root.join(&key[1..])).unwrap();
            object.set_len(bytes).unwrap();
            answer.headers_mut().insert("etag", "\"00000000000000000000000000000000\"".parse().unwrap());
        }
        Some(Fault::Clock(ahead)) => {
            answer.headers_mut().insert("date", date(ahead).parse().unwrap());
        }
        _ => {}
    }
    Ok(answer)
}

fn error(status: u16, code: &str) -> hyper::http::response::Builder {
    let kind = if code.is_empty() { "text/plain" } else { "application/xml" };
    Response::builder().status(status).header("content-type", kind)
}

fn text(code: &str) -> s3s::Body {
    s3s::Body::from(match code {
        "" => "Client sent an HTTP request to an HTTPS server.".to_owned(),
        code => format!("<Error><Code>{code}</Code><Message>as told</Message></Error>"),
    })
}

fn now(ahead: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(ahead)
}

/// As HTTP has dates.
fn date(ahead: i64) -> String {
    now(ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Whether the signature's time is within the quarter of an hour that S3 allows.
fn in_time(signed: &str, ahead: i64) -> bool {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", signed).unwrap();
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    now(ahead).duration_since(time).abs() < SignedDuration::from_mins(15)
}
