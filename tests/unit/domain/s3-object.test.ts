import { expect, test } from 'vitest';

import { versionIdOf, versionOf } from '../../../shared/domain/s3-object.ts';

test.each([
  [{ versionId: 'abc', etag: '"1"' }, 'v:abc', 'abc'],
  [{ etag: '"1-2"' }, 'e:1-2', null],
  [{ versionId: 'null', etag: '1' }, 'e:1', null],
  [{ versionId: '', etag: '1' }, 'e:1', null],
])('the version of %j', (s3, version, versionId) => {
  expect(versionOf(s3)).toBe(version);
  expect(versionIdOf(version)).toBe(versionId);
});
