//! What the other networks that are up ask of what all share: the firewall's tables, and Docker's chain.

use super::guards::guards_of_others;
use super::settings::Settings;
use super::wanted::wanted;
use crate::kernel::{self, Host};
use crate::model::{Docker, DockerRule, Element, Link, Mark, NetworkName};

/// What the firewall has to hold of the networks that are up, but for one. Of one whose files cannot be read any more it is
/// what the tables still hold.
pub(super) fn others(
    settings: &Settings,
    network: Option<&NetworkName>,
    links: &[Link],
    found: &[(NetworkName, Element)],
) -> Vec<(NetworkName, Element)> {
    let mut all = Vec::new();
    for bridge in links.iter().filter(|link| link.is_bridge()) {
        let Some(Mark::Owned(owner, _)) = bridge.mark() else { continue };
        if Some(&owner) == network {
            continue;
        }
        let configured = settings.store.network(&owner).ok().flatten().filter(|other| other.bridge == bridge.name);
        match configured.and_then(|other| wanted(settings, &other).ok()) {
            Some(wanted) => all.extend(wanted.elements.into_iter().map(|element| (owner.clone(), element))),
            None => {
                let kept = found.iter().filter(|(of, element)| *of == owner && element.guarded().is_none()).cloned();
                // At the least it is a bridge of ours, from and to which nothing goes.
                let closed =
                    [Element::Bridge, Element::Same, Element::Isolated].map(|element| element(bridge.name.clone()));
                let missing = !found.iter().any(|(of, element)| *of == owner && element.guarded().is_none());
                all.extend(kept.chain(closed.into_iter().filter(|_| missing).map(|element| (owner.clone(), element))));
            }
        }
    }
    all.extend(guards_of_others(settings, links, network));
    all
}

/// What there is of Docker's chains, and whether another network that is up asks for our rule there. One whose file
/// cannot be read may.
pub(super) fn docker(
    host: &mut Host,
    settings: &Settings,
    network: &NetworkName,
    links: &[Link],
) -> Result<Docker, kernel::Error> {
    let docker = host.docker()?;
    let asks = |link: &Link| match link.mark() {
        Some(Mark::Owned(owner, _)) if owner != *network && link.is_bridge() => match settings.store.network(&owner) {
            Ok(other) => other.is_some_and(|other| other.own().is_some_and(|own| own.docker)),
            Err(_) => true,
        },
        _ => false,
    };
    let asked_by_others = docker.chains.iter().any(|(_, has)| *has != DockerRule::Absent) && links.iter().any(asks);
    Ok(Docker { asked_by_others, ..docker })
}
