//! Artifacts in a bucket of an S3-compatible store, by the crate `object_store`, whose requests go out by `ureq`.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use luthier_core::{StorageError, StudyId};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path;
use object_store::{
    ClientConfigKey, ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, RetryConfig,
};
use tokio::runtime::Runtime;

/// How long a call waits for a store that has gone away, and how often it tries.
const PATIENCE: (Duration, usize) = (Duration::from_mins(3), 12);
/// The same where nothing says who is to be let in: most likely there are no credentials.
const WITHOUT_CREDENTIALS: (Duration, usize) = (Duration::from_secs(5), 1);

/// How long the store may take to accept a connection, and to begin its answer.
const CONNECTS: Duration = Duration::from_secs(10);
const ANSWERS: Duration = Duration::from_mins(1);

/// The variables of which one says who is to be let in.
const CREDENTIALS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// A folder of a bucket. An object is put whole or not at all, and all see it then.
pub(crate) struct Bucket {
    store: AmazonS3,
    runtime: Runtime,
    name: String,
    /// `PREFIX/FOLDER`, without slashes at its ends.
    folder: String,
}

impl Bucket {
    /// The folder `folder` in the place `s3://BUCKET/PREFIX`. Credentials, region and endpoint come from the environment:
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`. Nothing is asked of the store yet.
    pub(crate) fn open(place: &str, folder: &str) -> Result<Self, StorageError> {
        let rest = place.strip_prefix("s3://").unwrap_or(place);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(unusable(place, "expected s3://BUCKET or s3://BUCKET/PREFIX, found no bucket"));
        }
        let keys =
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| std::env::var_os(name).is_some());
        if keys[0] != keys[1] {
            let found = if keys[0] { "no AWS_SECRET_ACCESS_KEY" } else { "no AWS_ACCESS_KEY_ID" };
            let what =
                format!("expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to be set, found {found}");
            return Err(unusable(place, &what));
        }
        let (retry_timeout, max_retries) = if has_credentials() { PATIENCE } else { WITHOUT_CREDENTIALS };
        let retry = RetryConfig { max_retries, retry_timeout, ..RetryConfig::default() };
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retry)
            .with_http_connector(Connector)
            .build()
            .map_err(|error| failed(place, "cannot use the bucket", error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| failed(place, "cannot use the bucket", error))?;
        let folder = format!("{}/{folder}", prefix.trim_matches('/')).trim_matches('/').to_owned();
        Ok(Self { store, runtime, name: bucket.to_owned(), folder })
    }

    /// Whether it can be used.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        self.objects(&Path::from(self.folder.as_str())).map(drop)
    }

    pub(crate) fn put(&self, study: StudyId, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let bytes = bytes.to_vec();
        let put = self.runtime.block_on(self.store.put(&self.path(study, name), bytes.into()));
        put.map(drop).map_err(|error| self.refused(&format!("cannot keep the artifact `{name}`"), error))
    }

    pub(crate) fn get(&self, study: StudyId, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let got =
            self.runtime.block_on(async { self.store.get(&self.path(study, name)).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(self.refused(&format!("cannot read the artifact `{name}`"), error)),
        }
    }

    /// The names of a study's artifacts, sorted.
    pub(crate) fn list(&self, study: StudyId) -> Result<Vec<String>, StorageError> {
        let objects = self.objects(&self.of(study))?;
        let mut names: Vec<String> =
            objects.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn remove(&self, study: StudyId, name: &str) -> Result<(), StorageError> {
        self.delete(&self.path(study, name), &format!("cannot remove the artifact `{name}`"))
    }

    /// Removes all artifacts of a study.
    pub(crate) fn discard(&self, study: StudyId) -> Result<(), StorageError> {
        let what = "cannot remove the files of a deleted study";
        self.objects(&self.of(study))?.iter().try_for_each(|path| self.delete(path, what))
    }

    fn of(&self, study: StudyId) -> Path {
        Path::from(format!("{}/{}", self.folder, study.0))
    }

    fn path(&self, study: StudyId, name: &str) -> Path {
        self.of(study).join(name)
    }

    fn objects(&self, folder: &Path) -> Result<Vec<Path>, StorageError> {
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(folder)));
        let listed = listed.map_err(|error| self.refused("cannot list the artifacts", error))?;
        Ok(listed.objects.into_iter().map(|object| object.location).collect())
    }

    fn delete(&self, path: &Path, what: &str) -> Result<(), StorageError> {
        match self.runtime.block_on(self.store.delete(path)) {
            Err(error) if !is_gone(&error) => Err(self.refused(what, error)),
            _ => Ok(()),
        }
    }

    /// What a person can do about an error, where that is known.
    fn refused(&self, what: &str, error: Error) -> StorageError {
        let place = format!("s3://{}/{}", self.name, self.folder);
        let words = words(&error);
        if words.contains("NoSuchBucket") {
            let found =
                format!("expected a bucket named `{}`, found none; make it, or name another one", self.name);
            return unusable(&place, &found);
        }
        if !has_credentials() {
            let found = "expected credentials, found none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and for \
                         another store than Amazon's AWS_ENDPOINT_URL";
            return unusable(&place, found);
        }
        let denied = matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. });
        if denied || words.contains("InvalidAccessKeyId") || words.contains("SignatureDoesNotMatch") {
            let found = format!(
                "{what}: the store refused the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; they have to \
                 let read, write, list and delete objects in the bucket `{}`",
                self.name
            );
            return unusable(&place, &found);
        }
        failed(&place, what, error)
    }
}

fn has_credentials() -> bool {
    CREDENTIALS.iter().any(|name| std::env::var_os(name).is_some())
}

/// Whether the object is not there, though its bucket is.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && !words(error).contains("NoSuchBucket")
}

/// An error with all that it comes from.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

fn unusable(place: &str, what: &str) -> StorageError {
    StorageError::Corrupt { place: place.to_owned(), what: what.to_owned() }
}

fn failed(place: &str, what: &str, source: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::Backend { what: what.to_owned(), place: place.to_owned(), source: Box::new(source) }
}

/// Sends requests by `ureq`, which waits for the answer: whoever asks waits for it anyway.
struct Http(ureq::Agent);

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ureq")
    }
}

#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient, Error> {
        // Credentials of a machine are asked for at an address that answers at once or never.
        let quick =
            options.get_config_value(&ClientConfigKey::ConnectTimeout).is_some_and(|time| time == "1s");
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(if quick { Duration::from_secs(1) } else { CONNECTS }))
            .timeout_recv_response(Some(ANSWERS))
            .build();
        Ok(HttpClient::new(Http(config.into())))
    }
}

#[async_trait]
impl HttpService for Http {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body =
            body.collect().await.map_err(|error| HttpError::new(HttpErrorKind::Request, error))?.to_bytes();
        let answer = if body.is_empty() && !matches!(parts.method.as_str(), "PUT" | "POST") {
            self.0.run(ureq::http::Request::from_parts(parts, ()))
        } else {
            self.0.run(ureq::http::Request::from_parts(parts, &body[..]))
        };
        let (parts, body) = answer.map_err(http_error)?.into_parts();
        let body = body.into_with_config().limit(u64::MAX).read_to_vec().map_err(http_error)?;
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

/// By its kind it is known whether trying again is of use.
fn http_error(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => HttpErrorKind::Connect,
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => HttpErrorKind::Connect,
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
