//! A list in which nothing is wrong, part by part: most of a list is what it was before, and of the rest only one part at a
//! time is held as anything but text and clients.

use std::ops::Range;

use super::load::{Loaded, Taking, place_findings, short};
use crate::config::clients::pieces;
use crate::registry::build::parts::{Parts, Place};
use crate::source::file::{Content, Text};

/// Builds the list; gives the texts back where anything is wrong with it, or may be.
pub(super) fn in_parts(taking: &Taking<'_>, texts: Vec<Text>) -> Result<Loaded, Vec<Text>> {
    let mut content = Content::of(texts);
    match build(taking, &mut content) {
        Some(loaded) => Ok(loaded),
        None => Err(content.into_texts()),
    }
}

fn build(taking: &Taking<'_>, content: &mut Content) -> Option<Loaded> {
    let now = taking.clock.now();
    let mut problems = taking.problems.clone();
    let mut parts = Parts::new(taking.previous);
    for file in 0..content.names().count() {
        let (mut end, mut counts) = (None, (0, 0));
        let (text, language) = content.text(file)?;
        for piece in pieces::of(text, language) {
            // Behind `[end]` nothing may follow.
            if end.is_some() {
                return None;
            }
            let known = parts.look_up(place(content, file, &piece)?, now);
            content.read_files(file, known.files(), &mut problems);
            let told = match parts.take_over(place(content, file, &piece)?, known, &taking.ground(content, now)) {
                Ok(told) => told,
                Err(unread) => {
                    let list = pieces::read_piece(content.text(file)?.0, &piece, language, file)?;
                    content.read_secrets(&list.clients, &mut problems);
                    parts.add(place(content, file, &piece)?, &unread, list, &taking.ground(content, now))
                }
            };
            end = told.end;
            counts = (counts.0 + told.counts.0, counts.1 + told.counts.1);
        }
        if end.is_some_and(|said| said != counts) {
            return None;
        }
        if end.is_some() {
            content.guard(file);
        }
    }
    taking.check_ends(content, &mut problems);
    if !problems.errors.is_empty() {
        return None;
    }
    let seen = taking.seen(content);
    let hash = short(&seen.fingerprint());
    let (mut snapshot, findings) = parts.finish(&taking.ground(content, now), hash, content.guarded.clone())?;
    place_findings(content, findings, &mut problems);
    snapshot.texts = taking.seen;
    Some(Loaded { snapshot, warnings: problems.warnings, seen })
}

fn place<'c>(content: &'c Content, file: usize, piece: &Range<usize>) -> Option<Place<'c>> {
    Some(Place { file, offset: piece.start, text: content.text(file)?.0.get(piece.clone())? })
}

#[cfg(test)]
mod tests;
