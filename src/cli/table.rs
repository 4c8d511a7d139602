//! Columns that line up. A table may have a hundred thousand rows, and is written in one go.

/// Lines up rows under a head, two spaces between the columns.
pub(super) fn lines(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::with_capacity((rows.len() + 1) * (widths.iter().sum::<usize>() + 2 * widths.len()));
    line(&mut out, head.iter().copied(), &widths);
    for row in rows {
        line(&mut out, row.iter().map(String::as_str), &widths);
    }
    out
}

/// The same with a column for each row's tenant, where any row has one.
pub(super) fn of_tenants(head: &[&str], rows: Vec<(&str, Vec<String>)>) -> String {
    if rows.iter().all(|(tenant, _)| tenant.is_empty()) {
        return lines(head, &rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
    }
    let head: Vec<&str> = std::iter::once("TENANT").chain(head.iter().copied()).collect();
    let row = |(tenant, mut row): (&str, Vec<String>)| {
        row.insert(0, if tenant.is_empty() { "-" } else { tenant }.to_owned());
        row
    };
    lines(&head, &rows.into_iter().map(row).collect::<Vec<_>>())
}

fn line<'c>(out: &mut String, cells: impl Iterator<Item = &'c str>, widths: &[usize]) {
    let mut pending = 0;
    for (cell, width) in cells.zip(widths) {
        out.extend(std::iter::repeat_n(' ', pending));
        // What an id or a name holds must not move the cursor of a terminal.
        out.extend(cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
        pending = width.saturating_sub(cell.chars().count()) + 2;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_where_their_text_does() {
        let rows = [vec!["a".to_owned(), "b\u{1b}[2J".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
        assert_eq!(lines(&["ID", "NAME"], &rows), "ID    NAME\na     b\u{fffd}[2J\nlong  c\n");
    }

    #[test]
    fn tenants_have_a_column_where_there_are_any() {
        let rows = |tenant| vec![("", vec!["a".to_owned()]), (tenant, vec!["b".to_owned()])];
        assert_eq!(of_tenants(&["ID"], rows("")), "ID\na\nb\n");
        assert_eq!(of_tenants(&["ID"], rows("shop")), "TENANT  ID\n-       a\nshop    b\n");
    }
}
