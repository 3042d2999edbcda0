//! Reading everything below the root, many znodes at a time.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use zookeeper_client::{Client, Error, Stat};

use super::{
    layout::{Layout, version},
    tree::{Node, Scan, Version},
};

/// How many requests are under way at a time.
pub(super) const READS_MAX: usize = 128;

/// Reads all records; fails as a whole when one read fails.
///
/// The caller has armed its watch. The `sync` comes first, for the server may lag behind what an
/// earlier session has seen.
pub(super) async fn records(
    client: Client,
    layout: Arc<Layout>,
    records_max: usize,
) -> Result<Scan<Node>, Error> {
    let service = |name: &str, stat: &Stat, listed| match listed {
        true => layout.service(name, stat),
        false => layout.forbidden(name, stat),
    };
    let read_one = |path| read(client.clone(), Arc::clone(&layout), path);
    scan(&client, &layout, records_max, service, read_one).await
}

/// Reads the versions of all records, to compare them with what is known.
pub(super) async fn versions(
    client: Client,
    layout: Arc<Layout>,
    records_max: usize,
) -> Result<Scan<Version>, Error> {
    let service = |_: &str, stat: &Stat, _| version(stat);
    let read_one = |path: Arc<str>| {
        let stat = client.check_stat(&layout.absolute(&path));
        async move { Ok((path, stat.await?.as_ref().map(version))) }
    };
    scan(&client, &layout, records_max, service, read_one).await
}

/// Reads one znode; `None` when there is none.
pub(super) async fn read(
    client: Client,
    layout: Arc<Layout>,
    path: Arc<str>,
) -> Result<(Arc<str>, Option<Node>), Error> {
    let absolute = layout.absolute(&path);
    if !layout.is_record(&path) {
        let stat = client.check_stat(&absolute).await?;
        let node = stat.map(|stat| layout.service(&path, &stat));
        return Ok((path, node));
    }
    let node = match client.get_data(&absolute).await {
        Ok((bytes, stat)) => Some(layout.record(&path, &bytes, &stat)),
        Err(Error::NoNode) => None,
        Err(Error::NoAuth) => {
            let stat = client.check_stat(&absolute).await?;
            stat.map(|stat| layout.forbidden(&path, &stat))
        }
        Err(error) => return Err(error),
    };
    Ok((path, node))
}

async fn scan<T, R>(
    client: &Client,
    layout: &Layout,
    records_max: usize,
    service: impl Fn(&str, &Stat, bool) -> T,
    read_one: impl Fn(Arc<str>) -> R,
) -> Result<Scan<T>, Error>
where
    R: Future<Output = Result<(Arc<str>, Option<T>), Error>>,
{
    client.sync(layout.root()).await?;
    let names = match client.list_children(layout.root()).await {
        Err(Error::NoNode) => Vec::new(),
        names => names?,
    };
    let names = names.into_iter().filter(|name| !layout.is_reserved(name));
    let mut scan = Scan::new();
    let mut paths = Vec::<Arc<str>>::new();
    let names: Vec<_> = match layout.is_flat() {
        false => names.collect(),
        true => {
            paths.extend(names.map(Arc::from));
            Vec::new()
        }
    };
    let mut listings = stream::iter(names.into_iter().map(|name| list(client, layout, name)))
        .buffer_unordered(READS_MAX);
    while let Some(listing) = listings.try_next().await? {
        let Some(Listing {
            name,
            stat,
            children,
        }) = listing
        else {
            continue;
        };
        scan.found
            .insert(Arc::clone(&name), service(&name, &stat, children.is_some()));
        match children {
            Some(children) => {
                let absolute = children
                    .iter()
                    .map(|child| format!("{name}/{child}").into());
                paths.extend(absolute);
            }
            None => drop(scan.unlisted.insert(name)),
        }
    }
    scan.left_out = limit(&mut scan.found, &mut paths, records_max);
    let mut reads = stream::iter(paths.into_iter().map(read_one)).buffer_unordered(READS_MAX);
    while let Some((path, found)) = reads.try_next().await? {
        scan.found.extend(found.map(|found| (path, found)));
    }
    Ok(scan)
}

/// A service as it was found: `children` is `None` when they may not be listed.
struct Listing {
    name: Arc<str>,
    stat: Stat,
    children: Option<Vec<String>>,
}

/// Lists the instances of a service; `None` when it has just vanished.
async fn list(client: &Client, layout: &Layout, name: String) -> Result<Option<Listing>, Error> {
    let absolute = layout.absolute(&name);
    let name: Arc<str> = name.into();
    let listing = |stat, children| Listing {
        name: Arc::clone(&name),
        stat,
        children,
    };
    if !layout.lists(&name) {
        let stat = client.check_stat(&absolute).await?;
        return Ok(stat.map(|stat| listing(stat, Some(Vec::new()))));
    }
    match client.get_children(&absolute).await {
        Ok((children, stat)) => Ok(Some(listing(stat, Some(children)))),
        Err(Error::NoNode) => Ok(None),
        Err(Error::NoAuth) => {
            let stat = client.check_stat(&absolute).await?;
            Ok(stat.map(|stat| listing(stat, None)))
        }
        Err(error) => Err(error),
    }
}

/// Leaves out what is too much, always the same records; returns how many.
fn limit<T>(
    services: &mut BTreeMap<Arc<str>, T>,
    instances: &mut Vec<Arc<str>>,
    records_max: usize,
) -> usize {
    let all = services.len() + instances.len();
    while services.len() > records_max {
        services.pop_last();
    }
    instances.sort_unstable();
    instances.truncate(records_max - services.len());
    all - services.len() - instances.len()
}
