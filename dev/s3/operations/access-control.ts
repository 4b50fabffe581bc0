import { S3Error } from '../protocol/errors.ts';
import { readSmallBody } from '../protocol/request-body.ts';
import { queryValue } from '../protocol/request-target.ts';
import { parent, renderXml, text, type XmlElement } from '../protocol/xml.ts';
import { childText, type ReadElement, readXml } from '../protocol/xml-reader.ts';
import { owner, type Reply, requireBucket, type S3Call, xmlReply } from './call.ts';
import { ownerElement } from './list-objects.ts';
import { findReadable } from './read-object.ts';

const maxBodyBytes = 64 * 1024;
const fullControl = 'FULL_CONTROL';

export function getBucketAcl(call: S3Call): Reply {
  requireBucket(call);
  return aclReply();
}

export function getObjectAcl(call: S3Call): Reply {
  findReadable(call, requireBucket(call), call.key, queryValue(call.target, 'versionId'));
  return aclReply();
}

/**
 * Accepts what changes nothing: access control lists are switched off, as they are in every new bucket of S3, and
 * the only list that such a bucket takes is the one that gives everything to its owner.
 */
export async function putAcl(call: S3Call): Promise<Reply> {
  const bucket = requireBucket(call);
  if (call.key !== '') findReadable(call, bucket, call.key, queryValue(call.target, 'versionId'));
  const document = (await readSmallBody(call.openBody(), call.headers, maxBodyBytes)).toString();
  if (call.headers.has('x-amz-acl')) return { status: 200 };
  const root = readXml(document);
  const list = childOf(root, 'AccessControlList');
  if (root.name !== 'AccessControlPolicy' || list === undefined) throw new S3Error('MalformedXML');
  if (list.children.length === 0 || !list.children.every(isOwnersGrant))
    throw new S3Error('AccessControlListNotSupported');
  return { status: 200 };
}

function isOwnersGrant(grant: ReadElement): boolean {
  const grantee = childOf(grant, 'Grantee');
  return (
    grantee !== undefined &&
    childText(grantee, 'ID') === owner.id &&
    childText(grant, 'Permission') === fullControl
  );
}

function childOf(element: ReadElement, name: string): ReadElement | undefined {
  return element.children.find((child) => child.name === name);
}

function aclReply(): Reply {
  const grantee: XmlElement = {
    name: 'Grantee',
    attributes: {
      'xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance',
      'xsi:type': 'CanonicalUser',
    },
    content: [text('ID', owner.id), text('DisplayName', owner.displayName)],
  };
  const document = parent('AccessControlPolicy', [
    ownerElement(),
    parent('AccessControlList', [parent('Grant', [grantee, text('Permission', fullControl)])]),
  ]);
  return xmlReply(renderXml(document, 'with-namespace'));
}
