// What nginx read of a request, as a line of the journal; then a token.
import fs from 'fs';

const hex = (text) => Buffer.from(text).toString('hex');

const variable = (pair) => 'http_' + pair[0].toLowerCase().replace(/-/g, '_');

// Text that is not UTF-8 loses bytes on its way into a string, but not into a buffer. A variable has the first line of its name alone.
function headers(r) {
    const alone = (pair) => r.rawHeadersIn.filter((other) => variable(other) === variable(pair)).length === 1;
    const value = (pair) => (alone(pair) && r.rawVariables[variable(pair)]) || pair[1];
    return r.rawHeadersIn.map((pair) => [hex(pair[0]), hex(value(pair))]);
}

function tell(r) {
    const line = {
        method: hex(r.method),
        target: hex(r.variables.request_uri),
        headers: headers(r),
        // No buffer can be made of nothing.
        body: r.variables.request_body ? hex(r.rawVariables.request_body) : '',
    };
    fs.appendFileSync(process.env.JOURNAL, JSON.stringify(line) + '\n');
    r.headersOut['Content-Type'] = 'application/json';
    r.headersOut['X-Answer-To'] = r.headersIn['X-Request-Id'] || '-';
    r.return(200, '{"access_token":"at-1","token_type":"Bearer"}');
}

export default { tell };
