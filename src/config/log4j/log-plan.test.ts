import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../../kernel/index.ts';
import type { LogLayout } from './declarations.ts';
import { parseLogPlan } from './log-plan.ts';
import { expandLookups } from './lookups.ts';
import { parsePattern } from './pattern.ts';
import { parseXml } from './xml.ts';

const STOCK = `<?xml version="1.0" encoding="UTF-8"?>
<!-- as shipped -->
<Configuration status="WARN">
  <Properties><Property name="dir">\${env:LOG_LOCATION:-logs}</Property></Properties>
  <Appenders>
    <RollingFile name="access_log" fileName="\${dir}/access.log" filePattern="\${dir}/access.%d{dd-MMM}.log.gz">
      <PatternLayout pattern="%d{ISO8601} - %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="2 MB"/><TimeBasedTriggeringPolicy/></Policies>
      <DefaultRolloverStrategy max="7"/>
    </RollingFile>
    <File name="shared" fileName="/var/log/all.log"><JSONPatternLayout/></File>
    <Console name="STDOUT" target="SYSTEM_OUT"><PatternLayout><Pattern>%-5p %c{1} &gt; %m%n</Pattern></PatternLayout></Console>
    <Socket name="remote" host="log.example.org"/>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="warn" additivity="false"><AppenderRef ref="access_log"/></Logger>
    <Logger name="org.pytorch.serve.wlm" level="OFF"/>
    <AsyncLogger name="MODEL_LOG" level="trace"><AppenderRef ref="shared"/><AppenderRef ref="shared"/></AsyncLogger>
    <Root level="error"><AppenderRef ref="STDOUT"/><AppenderRef ref="remote"/><AppenderRef ref="shared"/></Root>
  </Loggers>
</Configuration>
`;
const plan = (text: string, env: Record<string, string> = {}) => parseLogPlan(text, { env, cwd: '/srv' });
const words = (layout: LogLayout | undefined): string =>
  layout?.kind === 'pattern'
    ? layout.pattern.parts.map((part) => (part.kind === 'text' ? part.text : `<${part.field} ${part.option}>`)).join('')
    : String(layout?.kind);

describe('a log4j2 file', () => {
  test('gives every logger the level of the nearest one that it lies below', () => {
    const { levelOf } = plan(STOCK);
    assert.deepEqual(
      ['ACCESS_LOG', 'org.pytorch.serve.wlm.WorkerThread', 'org.pytorch.serve.wlmx', 'MODEL_LOG', 'TS_METRICS'].map(
        levelOf,
      ),
      ['warn', 'off', 'error', 'debug', 'error'],
    );
  });

  test('sends each kind of line to its own appenders and, unless it says no, to those of the root', () => {
    const { routes } = plan(STOCK, { LOG_LOCATION: '/logs' });
    assert.deepEqual(
      routes?.access.files.map(({ path, maxBytes, keep, layout }) => [path, maxBytes, keep, words(layout)]),
      [['/logs/access.log', 2 * 1024 ** 2, 7, "<time yyyy-MM-dd'T'HH:mm:ss,SSS> - <message >"]],
    );
    assert.equal(routes?.access.console, undefined);
    assert.deepEqual(
      routes?.model.files.map(({ path, layout }) => [path, words(layout)]),
      [['/var/log/all.log', 'json']],
    );
    assert.equal(words(routes?.server.console), '<level > <logger 1> > <message >');
  });

  test('resolves paths in the working directory, and names what it does not take', () => {
    const read = plan(STOCK);
    assert.equal(read.routes?.access.files[0]?.path, '/srv/logs/access.log');
    assert.deepEqual(read.ignored, ['line 13: <Socket>']);
    const odd = plan(
      '<Configuration monitorInterval="5"><CustomLevels/><Appenders><File name="f" fileName="${jndi:ldap://x/a}f.log"><Filters/></File></Appenders><Loggers><Root level="constructor"/></Loggers></Configuration>',
    );
    assert.deepEqual(odd.ignored, [
      'line 1: monitorInterval of <Configuration>',
      'line 1: <CustomLevels>',
      'line 1: ${jndi:ldap://x/a}',
      'line 1: <Filters>',
      'line 1: level constructor',
    ]);
    assert.equal(odd.levelOf('x'), 'info');
  });

  test('names the appender that a logger wants and nobody declares', () => {
    const { ignored } = plan(
      '<Configuration><Appenders><Console name="c"/></Appenders>\n<Loggers><Root><AppenderRef ref="d"/></Root></Loggers></Configuration>',
    );
    assert.deepEqual(ignored, ['line 2: no appender d for <AppenderRef>']);
  });

  test('gives a logger without a level that of the next one above', () => {
    const { levelOf } = plan(
      '<Configuration><Loggers><Logger name="a.b"/><Logger name="a" level="debug"/><Root level="warn"/></Loggers></Configuration>',
    );
    assert.deepEqual(['a.b.c', 'a', 'b'].map(levelOf), ['debug', 'debug', 'warn']);
  });

  test('without appenders says levels only', () => {
    const { routes, levelOf } = plan('<Configuration><Loggers><Root level="warn"/></Loggers></Configuration>');
    assert.equal(routes, undefined);
    assert.equal(levelOf('ACCESS_LOG'), 'warn');
  });
});

describe('expandLookups', () => {
  const expand = (text: string, unknown: (lookup: string) => void = assert.fail): string =>
    expandLookups(text, {
      properties: new Map([
        ['dir', '/logs'],
        ['long', 'x'.repeat(30_000)],
      ]),
      env: { LOG_LOCATION: '/var/log', EMPTY: '', LOOP: '${env:LOOP}' },
      line: 7,
      unknown,
    });

  test('reads properties and the environment, with defaults that may hold the next', () => {
    for (const [text, expected] of [
      ['${dir}/$${dir}', '/logs//logs'],
      ['${none:-here}|${none}', 'here|'],
      ['${env:LOG_LOCATION:-logs}', '/var/log'],
      ['${sys:a:-${env:EMPTY:-${dir}}}/x', '/logs/x'],
      ['a $ {b} ${', 'a $ {b} ${'],
    ] as const)
      assert.equal(expand(text), expected, text);
  });

  test('leaves every other scope empty, and names it', () => {
    const found: string[] = [];
    assert.equal(
      expand('${jndi:ldap://x/a}${date:yyyy:-d}', (lookup) => found.push(lookup)),
      'd',
    );
    assert.deepEqual(found, ['${jndi:ldap://x/a}', '${date:yyyy:-d}']);
  });

  test('neither grows nor turns without end', () => {
    assert.throws(() => expand('${long}'.repeat(3)), { code: 'invalid_configuration', message: /^line 7: / });
    assert.equal(expand('${env:LOOP}'), '${env:LOOP}');
    const startedAt = performance.now();
    for (const piece of ['${', '${a:-', ':-', '${a', '$${']) expand(`\${${piece.repeat(100_000)}`, () => {});
    assert.ok(performance.now() - startedAt < 10_000);
  });
});

describe('parsePattern', () => {
  test('falls back to the usual time for a format that it cannot write, and names options without effect', () => {
    const { parts, unknown } = parsePattern(
      '%d{ISO8601}{GMT+0}%d{hh:mm a}%d{HH:mm:ss.SSSSSS}%d{COMPACT}%c{1.}%m{nolookups}',
    );
    assert.deepEqual(unknown, ['%d{ISO8601}{GMT+0}', '%d{hh:mm a}', '%d{HH:mm:ss.SSSSSS}', '%c{1.}']);
    const usual = 'yyyy-MM-dd HH:mm:ss,SSS';
    assert.deepEqual(
      parts.map((part) => part.kind === 'field' && part.option),
      ["yyyy-MM-dd'T'HH:mm:ss,SSS", usual, usual, 'yyyyMMddHHmmssSSS', '', ''],
    );
  });

  test('knows widths, options and escapes, and lists what it does not know', () => {
    const { parts, unknown } = parsePattern('100%% %5.10c{2} [%X{id}]%highlight %d{HH:mm} %msgs%n');
    assert.deepEqual(unknown, ['%X{id}', '%highlight']);
    assert.deepEqual(
      parts.map((part) => (part.kind === 'text' ? part.text : [part.field, part.option, part.min, part.max])),
      [
        '100',
        '%',
        ' ',
        ['logger', '2', 5, 10],
        ' [',
        ']',
        ' ',
        ['time', 'HH:mm', 0, Infinity],
        ' ',
        ['message', '', 0, Infinity],
        's',
      ],
    );
  });
});

describe('parseXml', () => {
  test('refuses DTDs, entities of others, and what does not nest, with the line', () => {
    for (const [text, line] of [
      ['<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 1],
      ['<a>\n&b;</a>', 1],
      ['<a>\n<b>\n</a>', 3],
      ['<a>\n<b>', 2],
      ['<a x="1" x="2"/>', 1],
      ['<a x=1/>', 1],
      ['<a/><b/>', 1],
      ['text', 1],
      ['', 1],
      ['<a>'.repeat(60), 1],
    ] as const) {
      assert.throws(
        () => parseXml(text),
        (fault: unknown) => fault instanceof Fault && fault.message.startsWith(`line ${line}:`),
        text,
      );
    }
  });

  test('reads attributes in either quotes, character references, comments and CDATA', () => {
    const root = parseXml(
      `\uFEFF<?xml version='1.0'?>\n<!-- > -->\n<a b='"' c="&#65;&#x42;&lt;">one <![CDATA[<two>]]></a>`,
    );
    assert.deepEqual(
      [...root.attributes],
      [
        ['b', '"'],
        ['c', 'AB<'],
      ],
    );
    assert.deepEqual([root.line, root.text], [3, 'one <two>']);
  });

  test('reads any bytes or refuses them with a Fault', () => {
    const piece = fc.constantFrom(
      '<',
      '>',
      '/',
      'a',
      '<a',
      '</a>',
      '"',
      '=',
      ' ',
      '&',
      '&lt;',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '?',
      '\n',
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(text, (any) => {
        try {
          plan(any);
          plan(
            `<Configuration><Appenders><Console name="x"><PatternLayout pattern="${any}"/></Console></Appenders></Configuration>`,
          );
        } catch (error) {
          assert.ok(error instanceof Fault, String(error));
        }
      }),
    );
  });
});
